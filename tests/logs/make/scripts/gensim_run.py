import logging
import random
import sys

from gensim.corpora import Dictionary
from gensim.models import LdaModel, Word2Vec

logging.basicConfig(format="%(asctime)s : %(levelname)s : %(message)s", level=logging.INFO)
random.seed(0)
topics = [[f"t{t}w{i}" for i in range(30)] for t in range(4)]
docs = [random.choices(random.choice(topics), k=20) for _ in range(600)]
if "--lda" in sys.argv:
    d = Dictionary(docs)
    corpus = [d.doc2bow(x) for x in docs]
    lda = LdaModel(corpus, 4, d, passes=4, eval_every=1, random_state=0, chunksize=300)
    print("perplexity bound:", lda.log_perplexity(corpus))
else:
    Word2Vec(docs, vector_size=24, epochs=6, min_count=1, workers=1, seed=0, compute_loss=True)
