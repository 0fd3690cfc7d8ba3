import argparse

ap = argparse.ArgumentParser(prog="train.py")
ap.add_argument("--lr", type=float, default=1e-3)
ap.add_argument("--batch-size", type=int, default=64)
ap.add_argument("--arch", choices=["resnet18", "resnet50"], default="resnet18")
args = ap.parse_args()
print("Namespace:", args)
