python train.py xgb &
pid=$!
sleep 8
kill -KILL $pid
wait $pid
echo "training process ended, status $?"
