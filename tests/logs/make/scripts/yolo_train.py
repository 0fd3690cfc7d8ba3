import sys

from ultralytics import YOLO

YOLO("yolov8n.yaml").train(data="data.yaml" if "--bad" not in sys.argv else "dataset.yaml", epochs=int(sys.argv[1]) if sys.argv[1:] and sys.argv[1].isdigit() else 3, imgsz=64, batch=6, workers=0, plots=False, project="/home/user/project/runs", name="exp", device="cpu",
                           amp=False, seed=0, optimizer="Adam", lr0=0.005, warmup_epochs=0, mosaic=0.0)
