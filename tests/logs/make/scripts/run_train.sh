echo "[run.sh] starting"
python train.py
status=$?
echo "[run.sh] train.py left with status $status"
exit $status
