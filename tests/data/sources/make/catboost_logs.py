"""CatBoost: catboost_info with two .tsv files, two event folders and catboost_training.json."""

import random

from catboost import CatBoostClassifier, Pool
from common import Record, keep_only

record = Record("catboost")
rng = random.Random(0)
x = [[rng.random() for _ in range(3)] for _ in range(120)]
y = [int(a + 0.3 * b > 0.6 + 0.1 * rng.random()) for a, b, _ in x]
model = CatBoostClassifier(
    iterations=25, learning_rate=0.2, depth=2, verbose=False, thread_count=1, custom_metric=["Accuracy"],
    train_dir=record.folder + "/catboost_info",
)  # fmt: skip
model.fit(Pool(x[:80], y[:80]), eval_set=Pool(x[80:], y[80:]))
for split, results in (("train", model.evals_result_["learn"]), ("test", model.evals_result_["validation"])):
    for name, values in results.items():
        for step, value in enumerate(values):
            record.note(f"{split}/{name}", step, value)
keep_only(record.folder, ".tsv", "events.out", "catboost_training.json")
record.done()
