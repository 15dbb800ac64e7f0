"""sentiment: tells whether a sentence is friendly or not. A real model service, as small as can be.

A text classifier (TF-IDF and logistic regression) is trained when the process starts, in a thread:
the port answers at once, /healthz says that the process is alive, and /ready says 503 until the
model is there. That is why the manifest has separate probes.

    POST /predict  {"text": "what a lovely day"}  ->  {"label": "positive", "score": 0.97, ...}
    GET  /healthz  200 while the process is well, 500 after POST /break
    GET  /ready    200 when the model is trained
    GET  /metrics  Prometheus text
    POST /break    from now on /healthz answers 500: the liveness probe replaces this replica
    POST /break?mode=hang   /healthz is accepted and never answered, as by a stuck engine

Environment: TRAIN_DELAY=SECONDS makes it load like a bigger model.
"""
import asyncio
import itertools
import logging
import os
import threading
import time

from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel, Field
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline, make_union

REPLICA = os.environ.get("AICTL_REPLICA", "0")
log = logging.getLogger("uvicorn.error")

THINGS = ["the film", "this book", "my new phone", "the hotel", "their support", "the food", "this program", "the concert"]
GOOD = ["lovely", "excellent", "a delight", "better than expected", "wonderful", "worth every cent", "fast and friendly",
        "simply great", "brilliant", "perfect"]
BAD = ["awful", "a waste of money", "boring", "worse than expected", "terrible", "slow and rude", "broken again",
       "simply bad", "a disappointment", "horrible"]
FRAMES = ["{t} was {w}", "I think {t} is {w}", "honestly, {t}: {w}", "we found {t} {w}, all of us"]
EXTRA = [("I love it, everything just works", 1), ("I would buy it again", 1), ("thank you, you made my day", 1),
         ("what a lovely day", 1), ("never again", 0), ("I hate it, nothing works", 0),
         ("I want my money back", 0), ("what a terrible day", 0)]


def sentences():
    """Some six hundred sentences with their label: 1 is positive."""
    for thing, frame in itertools.product(THINGS, FRAMES):
        for words, label in ((GOOD, 1), (BAD, 0)):
            for word in words:
                yield frame.format(t=thing, w=word), label
    yield from EXTRA * 5


def classifier(strength):
    words = TfidfVectorizer(ngram_range=(1, 2))
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4))
    return make_pipeline(make_union(words, letters), LogisticRegression(C=strength, max_iter=1000))


class Model:
    """The classifier; `pipeline` is None until it is trained."""

    def __init__(self):
        self.pipeline = None
        self.broken = None  # None, "error" or "hang"
        self.predictions = 0

    def train(self):
        started = time.monotonic()
        time.sleep(float(os.environ.get("TRAIN_DELAY", "0")))
        texts, labels = zip(*sentences())
        # The strength of regularisation is chosen by cross-validation: most of the start-up time.
        accuracy, strength = max((cross_val_score(classifier(c), texts, labels, cv=4).mean(), c)
                                 for c in (0.1, 0.3, 1, 3, 10))
        pipeline = classifier(strength).fit(texts, labels)
        self.pipeline = pipeline
        log.info("replica %s: trained on %d sentences in %.1f s, accuracy %.2f", REPLICA, len(texts),
                 time.monotonic() - started, accuracy)


class Question(BaseModel):
    text: str = Field(..., min_length=1, max_length=10000)


app = FastAPI(title="sentiment")
model = Model()


@app.on_event("startup")
def start_training():
    threading.Thread(target=model.train, name="train", daemon=True).start()


@app.post("/predict")
def predict(question: Question):
    if model.pipeline is None:
        raise HTTPException(503, "the model is being trained")
    positive = float(model.pipeline.predict_proba([question.text])[0][1])
    model.predictions += 1
    label, score = ("positive", positive) if positive >= 0.5 else ("negative", 1 - positive)
    return {"label": label, "score": round(score, 3), "replica": int(REPLICA)}


@app.get("/healthz")
async def healthz():
    if model.broken == "hang":
        await asyncio.sleep(3600)
    if model.broken:
        raise HTTPException(500, "broken by POST /break")
    return {"ok": True}


@app.get("/ready")
async def ready():
    if model.pipeline is None:
        raise HTTPException(503, "the model is being trained")
    return {"ready": True}


@app.get("/metrics")
async def metrics():
    text = ("# HELP sentiment_predictions_total Answered predictions.\n"
            "# TYPE sentiment_predictions_total counter\n"
            "sentiment_predictions_total %d\n" % model.predictions)
    return Response(text, media_type="text/plain; version=0.0.4")


@app.post("/break")
async def break_(mode: str = "error"):
    if mode not in ("error", "hang"):
        raise HTTPException(400, "mode is error or hang")
    model.broken = mode
    log.warning("replica %s: broken on request (%s)", REPLICA, mode)
    return {"broken": mode}
