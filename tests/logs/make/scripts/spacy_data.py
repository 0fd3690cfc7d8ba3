import random
import sys

import spacy
from spacy.tokens import DocBin

random.seed(0)
nlp = spacy.blank("en")
good, bad = "great lovely fine superb nice".split(), "poor awful bad terrible weak".split()
for name, n in (("train", 160), ("dev", 60)):
    db = DocBin()
    for _ in range(n):
        pos = random.random() < 0.5
        words = random.choices(good if pos else bad, k=2) + random.choices(good + bad + "the film was seen by us".split(), k=5)
        random.shuffle(words)
        doc = nlp(" ".join(words))
        doc.cats = {"POS": float(pos), "NEG": float(not pos)}
        db.add(doc)
    db.to_disk(f"{name}.spacy")
