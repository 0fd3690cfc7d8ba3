# 1.2 GB of memory for what runs here; the kernel kills what takes more
mkdir -p /sys/fs/cgroup/memory/train_demo
echo 1200M > /sys/fs/cgroup/memory/train_demo/memory.limit_in_bytes
(echo $BASHPID > /sys/fs/cgroup/memory/train_demo/cgroup.procs; exec python train.py --how cgroup)
echo "exit code $?"
rmdir /sys/fs/cgroup/memory/train_demo
