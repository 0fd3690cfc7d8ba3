/* A libnvidia-ml.so.1 for the tests: what it answers stands in the file that FAKE_NVML names.

   init CODE                                    nvmlInit fails with this code; "init hang" never comes back
   gpu UUID NAME USED TOTAL BUSY HEAT MODE MIG  the next GPU; amounts in MiB; -1: not supported; "lost": no handle
   part UUID NAME USED TOTAL                    a MIG instance of the last GPU
   proc C|G PID MIB                             a process of the last GPU or instance; -1: memory not known
   deny                                         the processes of the last one cannot be told
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6, TOO_SMALL = 7, LOST = 15, MOST = 32 };

struct proc { int compute; unsigned pid; long mib; };
struct gpu {
    char uuid[64], name[64];
    long used, total, busy, heat, mode, mig;
    int is_part, parent, denied, lost, procs;
    struct proc proc[MOST];
};
struct info { unsigned pid; unsigned long long used; unsigned gi, ci; };

static struct gpu all[MOST];
static int count;

int nvmlInitWithFlags(unsigned flags) {
    char line[512], word[64];
    FILE *file = fopen(getenv("FAKE_NVML"), "r");
    (void)flags;
    count = 0;
    while (file && fgets(line, sizeof line, file)) {
        struct gpu *last = count ? &all[count - 1] : NULL, *new = &all[count];
        memset(new, 0, sizeof *new);
        if (sscanf(line, "init %63s", word) == 1) {
            while (!strcmp(word, "hang")) pause();
            return atoi(word);
        }
        if (sscanf(line, "gpu %63s %63s %ld %ld %ld %ld %ld %ld", new->uuid, new->name, &new->used, &new->total, &new->busy,
                   &new->heat, &new->mode, &new->mig) >= 1) {
            new->lost = !strcmp(new->uuid, "lost");
            count++;
        } else if (sscanf(line, "part %63s %63s %ld %ld", new->uuid, new->name, &new->used, &new->total) == 4) {
            new->is_part = 1;
            new->busy = new->heat = new->mode = -1;
            count++;
        } else if (!strncmp(line, "proc", 4)) {
            struct proc *one = &last->proc[last->procs++];
            sscanf(line, "proc %63s %u %ld", word, &one->pid, &one->mib);
            one->compute = word[0] == 'C';
        } else if (!strncmp(line, "deny", 4)) {
            last->denied = 1;
        }
    }
    if (file) fclose(file);
    return OK;
}

int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) {
    return code == NO_PERMISSION ? "Insufficient Permissions" : code == 9 ? "Driver Not Loaded"
         : code == LOST ? "GPU is lost" : code == 18 ? "Driver/library version mismatch" : "Some error";
}

static struct gpu *nth(int index, int part_of) {
    int seen = 0, parent = -1;
    for (int i = 0; i < count; i++) {
        if (!all[i].is_part) parent++;
        if ((part_of < 0 ? !all[i].is_part : all[i].is_part && parent == part_of) && seen++ == index) return &all[i];
    }
    return NULL;
}

int nvmlDeviceGetCount_v2(unsigned *out) { for (*out = 0; nth((int)*out, -1); ++*out) {} return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct gpu **out) {
    *out = nth((int)index, -1);
    return *out == NULL ? NOT_FOUND : (*out)->lost ? LOST : OK;
}
int nvmlDeviceGetMaxMigDeviceCount(struct gpu *gpu, unsigned *out) { (void)gpu; *out = 7; return OK; }
int nvmlDeviceGetMigDeviceHandleByIndex(struct gpu *gpu, unsigned index, struct gpu **out) {
    int number = 0;
    while (nth(number, -1) != gpu) number++;
    *out = nth((int)index, number);
    return *out ? OK : NOT_FOUND;
}
int nvmlDeviceGetMigMode(struct gpu *gpu, unsigned *now, unsigned *then) {
    *now = *then = (unsigned)gpu->mig;
    return gpu->mig < 0 || gpu->is_part ? NOT_SUPPORTED : OK;
}
int nvmlDeviceGetName(struct gpu *gpu, char *out, unsigned size) { snprintf(out, size, "%s", gpu->name); return OK; }
int nvmlDeviceGetUUID(struct gpu *gpu, char *out, unsigned size) { snprintf(out, size, "%s", gpu->uuid); return OK; }
int nvmlDeviceGetMemoryInfo(struct gpu *gpu, unsigned long long *out) {
    out[0] = (unsigned long long)gpu->total << 20;
    out[2] = (unsigned long long)(gpu->used + 600) << 20; /* with what the driver reserves */
    return gpu->total < 0 ? NOT_SUPPORTED : OK;
}
int nvmlDeviceGetMemoryInfo_v2(struct gpu *gpu, unsigned long long *out) { /* version, total, reserved, free, used */
    out[1] = (unsigned long long)gpu->total << 20;
    out[4] = (unsigned long long)gpu->used << 20;
    return gpu->total < 0 ? NOT_SUPPORTED : OK;
}
int nvmlDeviceGetUtilizationRates(struct gpu *gpu, unsigned *out) {
    out[0] = (unsigned)gpu->busy;
    return gpu->busy < 0 ? NOT_SUPPORTED : OK;
}
int nvmlDeviceGetTemperature(struct gpu *gpu, int sensor, unsigned *out) {
    (void)sensor;
    *out = (unsigned)gpu->heat;
    return gpu->heat < 0 ? NOT_SUPPORTED : OK;
}
int nvmlDeviceGetComputeMode(struct gpu *gpu, int *out) { *out = (int)gpu->mode; return gpu->mode < 0 ? NOT_SUPPORTED : OK; }

static int list(struct gpu *gpu, int compute, unsigned *size, struct info *out) {
    unsigned room = *size, found = 0;
    if (gpu->denied) return NO_PERMISSION;
    for (int i = 0; i < gpu->procs; i++) {
        struct proc *one = &gpu->proc[i];
        if (one->compute != compute) continue;
        if (out && found < room) {
            unsigned long long used = one->mib < 0 ? ~0ULL : (unsigned long long)one->mib << 20;
            out[found] = (struct info){one->pid, used, ~0U, ~0U};
        }
        found++;
    }
    *size = found;
    return found > room ? TOO_SMALL : OK;
}
int nvmlDeviceGetComputeRunningProcesses_v3(struct gpu *gpu, unsigned *size, struct info *out) { return list(gpu, 1, size, out); }
int nvmlDeviceGetGraphicsRunningProcesses_v3(struct gpu *gpu, unsigned *size, struct info *out) { return list(gpu, 0, size, out); }
