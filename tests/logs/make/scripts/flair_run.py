import random

import flair
from flair.data import Corpus, Sentence
from flair.datasets import FlairDatapointDataset
from flair.embeddings import DocumentPoolEmbeddings, OneHotEmbeddings
from flair.models import TextClassifier
from flair.trainers import ModelTrainer

flair.set_seed(0)
random.seed(0)
good, bad, rest = "great lovely fine".split(), "poor awful bad".split(), "the film was seen by us on monday".split()


def rows(n):
    out = []
    for _ in range(n):
        pos = random.random() < 0.5
        words = random.choices(good if pos else bad, k=1) + random.choices(rest, k=5) + random.choices(good + bad, k=1)
        random.shuffle(words)
        s = Sentence(" ".join(words))
        s.add_label("mood", "POSITIVE" if pos else "NAN" if random.random() < 0.3 else "NEGATIVE")
        out.append(s)
    return FlairDatapointDataset(out)


corpus = Corpus(train=rows(200), dev=rows(50), test=rows(50), name="mood")
model = TextClassifier(DocumentPoolEmbeddings([OneHotEmbeddings.from_corpus(corpus, embedding_length=24)]), label_type="mood",
                       label_dictionary=corpus.make_label_dictionary("mood"))
ModelTrainer(model, corpus).train("out", learning_rate=0.5, mini_batch_size=16, max_epochs=4)
