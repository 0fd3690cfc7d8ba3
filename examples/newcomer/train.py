"""A training script as somebody may have it: handwritten digits, scikit-learn, a line per epoch. It knows nothing of
auto-experiment."""

import argparse

from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier


def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=1e-2)
    parser.add_argument("--hidden", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--weight-decay", type=float, default=1e-4)
    parser.add_argument("--solver", choices=["sgd", "adam"], default="sgd")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main():
    args = parse_args()
    images, labels = load_digits(return_X_y=True)
    x, x_val, y, y_val = train_test_split(images / 16, labels, test_size=0.25, random_state=0, stratify=labels)
    model = MLPClassifier(
        (args.hidden,),
        solver=args.solver,
        alpha=args.weight_decay,
        batch_size=args.batch_size,
        learning_rate_init=args.lr,
        random_state=args.seed,
    )
    for epoch in range(1, args.epochs + 1):
        model.partial_fit(x, y, classes=range(10))
        loss = log_loss(y_val, model.predict_proba(x_val))
        accuracy = model.score(x_val, y_val)
        print(
            f"epoch {epoch}/{args.epochs} train_loss={model.loss_:.4f} val_loss={loss:.4f} val_acc={accuracy:.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
