/* The rest of the stand-in library, included by nvml_standin.c: processes, MIG, topology, limits, the NVLink fabric,
 * events; and what this board does not have, with the return code that the real library gives.
 * Layouts and versions are those of nvml.h as of the branches 535 to 580; each structure that carries a version is
 * checked for it, as the real library does.
 */

#define VERSIONED(pointer, number) ((pointer)->version == (sizeof *(pointer) | (unsigned int)(number) << 24))
#define ABSENT(call) nvml_return call(device dev) { MEET(dev, 0); return NOT_SUPPORTED; }

/* ---- processes ---- */

struct process { unsigned int pid; unsigned long long bytes; unsigned int gpu_instance, compute_instance; };
struct process_v1 { unsigned int pid; unsigned long long bytes; };

static nvml_return list_processes(device dev, const char *kind, unsigned int *count, struct process *out) {
    unsigned int found = 0, room = *count;
    char key[64];
    for (int i = 0;; i++) {
        snprintf(key, sizeof key, "processes.%d.pid", i);
        const char *pid = setting(dev->number, key);
        if (!pid) break;
        snprintf(key, sizeof key, "processes.%d.kind", i);
        const char *told = setting(dev->number, key);
        if (strcmp(told ? told : "compute", kind)) continue;
        if (found < room && out) {
            snprintf(key, sizeof key, "processes.%d.memory_bytes", i);
            out[found] = (struct process){(unsigned int)atoi(pid), (unsigned long long)number(dev->number, key, 0), ~0u, ~0u};
        }
        found++;
    }
    *count = found;
    return found > room || (found && !out) ? INSUFFICIENT_SIZE : SUCCESS;
}

#define PROCESSES(call, kind) \
    nvml_return call(device dev, unsigned int *count, struct process *out) { \
        MEET(dev, 0); return list_processes(dev, kind, count, out); }
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v3, "compute")
PROCESSES(nvmlDeviceGetComputeRunningProcesses_v2, "compute")
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3, "graphics")
PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v2, "graphics")
PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v3, "mps")
PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v2, "mps")

static nvml_return list_processes_v1(device dev, const char *kind, unsigned int *count, struct process_v1 *out) {
    struct process found[64];
    unsigned int room = *count, have = 64;
    nvml_return met = list_processes(dev, kind, &have, found);
    *count = have;
    if (met != SUCCESS) return met;
    if (have > room || (have && !out)) return INSUFFICIENT_SIZE;
    for (unsigned int i = 0; i < have; i++) out[i] = (struct process_v1){found[i].pid, found[i].bytes};
    return SUCCESS;
}
nvml_return nvmlDeviceGetComputeRunningProcesses(device dev, unsigned int *count, struct process_v1 *out) {
    MEET(dev, 0);
    return list_processes_v1(dev, "compute", count, out);
}
nvml_return nvmlDeviceGetGraphicsRunningProcesses(device dev, unsigned int *count, struct process_v1 *out) {
    MEET(dev, 0);
    return list_processes_v1(dev, "graphics", count, out);
}

struct process_sample { unsigned int pid; unsigned long long time; unsigned int sm, memory, encoder, decoder; };

nvml_return nvmlDeviceGetProcessUtilization(device dev, struct process_sample *out, unsigned int *count, unsigned long long since) {
    struct process found[64];
    unsigned int room = *count, have = 64;
    (void)since;
    MEET(dev, 0);
    list_processes(dev, "compute", &have, found);
    *count = have;
    if (!have) return NOT_FOUND;
    if (have > room || !out) return INSUFFICIENT_SIZE;
    unsigned int share = (unsigned int)number(dev->number, "utilization_percent", 0) / have;
    for (unsigned int i = 0; i < have; i++) out[i] = (struct process_sample){found[i].pid, 1, share, share / 2, 0, 0};
    return SUCCESS;
}

nvml_return nvmlSystemGetProcessName(unsigned int pid, char *out, unsigned int size) {
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/%u/comm", pid);
    FILE *file = fopen(path, "r");
    if (!file) return NOT_FOUND;
    if (!fgets(text, sizeof text, file)) text[0] = '\0';
    fclose(file);
    text[strcspn(text, "\n")] = '\0';
    return put(out, size, text);
}

/* ---- what it is ---- */

/* First versions of what exists in a second: older callers ask for them by name. */
nvml_return nvmlInit(void) { return nvmlInitWithFlags(0); }
nvml_return nvmlSystemGetCudaDriverVersion(int *out) { return nvmlSystemGetCudaDriverVersion_v2(out); }
nvml_return nvmlDeviceGetCount(unsigned int *out) { return nvmlDeviceGetCount_v2(out); }
nvml_return nvmlDeviceGetHandleByIndex(unsigned int index, device *out) { return nvmlDeviceGetHandleByIndex_v2(index, out); }
nvml_return nvmlDeviceGetHandleByPciBusId(const char *bus_id, device *out) {
    return nvmlDeviceGetHandleByPciBusId_v2(bus_id, out);
}
nvml_return nvmlDeviceGetPciInfo_v2(device dev, struct pci_info *out) { return nvmlDeviceGetPciInfo_v3(dev, out); }

nvml_return nvmlDeviceGetVbiosVersion(device dev, char *out, unsigned int size) {
    MEET(dev, 0);
    return put_name(dev, "vbios", "96.00.89.00.01", out, size);
}
nvml_return nvmlDeviceGetBoardPartNumber(device dev, char *out, unsigned int size) {
    MEET(dev, 0);
    return put_name(dev, "board_part_number", "692-2G520-0200-000", out, size);
}
nvml_return nvmlDeviceGetGspFirmwareVersion(device dev, char *out) {
    MEET(dev, 0);
    return put(out, 64, "570.124.06");
}
nvml_return nvmlDeviceGetGspFirmwareMode(device dev, unsigned int *enabled, unsigned int *by_default) {
    MEET(dev, 0);
    *enabled = *by_default = 1;
    return SUCCESS;
}
nvml_return nvmlDeviceGetCudaComputeCapability(device dev, int *major, int *minor) {
    MEET(dev, 1);
    *major = 9;
    *minor = 0;
    return SUCCESS;
}
ANSWER(nvmlDeviceGetBrand, "brand", 1.0, 14)               /* NVML_BRAND_NVIDIA */
ANSWER(nvmlDeviceGetArchitecture, "architecture", 1.0, 9)  /* NVML_DEVICE_ARCH_HOPPER */
ANSWER(nvmlDeviceGetNumGpuCores, "cores", 1.0, 16896)
ANSWER(nvmlDeviceGetMemoryBusWidth, "memory_bus_width", 1.0, 5120)
ANSWER(nvmlDeviceGetMultiGpuBoard, "multi_gpu_board", 1.0, 0)
ANSWER(nvmlDeviceGetDisplayMode, "display_mode", 1.0, 1)
ANSWER(nvmlDeviceGetDisplayActive, "display_active", 1.0, 0)
ANSWER(nvmlDeviceGetPersistenceMode, "persistence_mode", 1.0, 1)
ANSWER(nvmlDeviceGetComputeMode, "compute_mode", 1.0, 0)
ANSWER(nvmlDeviceGetPerformanceState, "performance_state", 1.0, 0)
ANSWER(nvmlDeviceGetPowerState, "performance_state", 1.0, 0)
ANSWER(nvmlDeviceGetGpuMaxPcieLinkGeneration, "pcie_generation_max", 1.0, 5)
ANSWER(nvmlDeviceGetPcieLinkMaxSpeed, "pcie_speed_max", 1.0, 32000)
ABSENT(nvmlDeviceGetFanSpeed)
ABSENT(nvmlDeviceGetFanSpeed_v2)
ABSENT(nvmlDeviceGetDriverModel)
ABSENT(nvmlDeviceGetDriverModel_v2)
ABSENT(nvmlDeviceGetRunningProcessDetailList)
ABSENT(nvmlDeviceGetConfComputeMemSizeInfo)
ABSENT(nvmlDeviceGetBridgeChipInfo)

nvml_return nvmlDeviceGetNumFans(device dev, unsigned int *out) {
    MEET(dev, 0);
    *out = 0;
    return SUCCESS;
}
nvml_return nvmlDeviceGetMinorNumber(device dev, unsigned int *out) {
    MEET(dev, 0);
    *out = (unsigned int)dev->number;
    return SUCCESS;
}
nvml_return nvmlDeviceGetBoardId(device dev, unsigned int *out) {
    MEET(dev, 0);
    *out = 0x100u * ((unsigned int)dev->number + 1);
    return SUCCESS;
}
nvml_return nvmlDeviceGetHandleByUUID(const char *uuid, device *out) {
    char mine[96];
    for (int i = 0; i < listed_count; i++)
        if (nvmlDeviceGetUUID(&slots[listed[i]], mine, sizeof mine) == SUCCESS && !strcmp(mine, uuid)) {
            *out = &slots[listed[i]];
            return SUCCESS;
        }
    return NOT_FOUND;
}
nvml_return nvmlDeviceGetHandleBySerial(const char *serial, device *out) {
    char mine[96];
    for (int i = 0; i < listed_count; i++)
        if (nvmlDeviceGetSerial(&slots[listed[i]], mine, sizeof mine) == SUCCESS && !strcmp(mine, serial)) {
            *out = &slots[listed[i]];
            return SUCCESS;
        }
    return NOT_FOUND;
}

/* ---- load, power, heat ---- */

static nvml_return two(device dev, const char *call, const char *first_key, double first, const char *second_key,
                       double second, unsigned int *out_first, unsigned int *out_second) {
    nvml_return met = dev ? obstacle(dev->number, call, 0) : INVALID_ARGUMENT;
    if (met != SUCCESS) return met;
    *out_first = (unsigned int)number(dev->number, first_key, first);
    *out_second = (unsigned int)number(dev->number, second_key, second);
    return SUCCESS;
}
nvml_return nvmlDeviceGetEncoderUtilization(device dev, unsigned int *share, unsigned int *period) {
    return two(dev, __func__, "encoder_percent", 0, "sampling_us", 167000, share, period);
}
nvml_return nvmlDeviceGetDecoderUtilization(device dev, unsigned int *share, unsigned int *period) {
    return two(dev, __func__, "decoder_percent", 0, "sampling_us", 167000, share, period);
}
nvml_return nvmlDeviceGetPowerManagementLimitConstraints(device dev, unsigned int *least, unsigned int *most) {
    return two(dev, __func__, "power_limit_min_mw", 200000, "power_limit_max_mw", 700000, least, most);
}
nvml_return nvmlDeviceGetEccMode(device dev, unsigned int *now, unsigned int *pending) {
    return two(dev, __func__, "ecc_mode", 1, "ecc_mode_pending", 1, now, pending);
}
nvml_return nvmlDeviceGetMigMode(device dev, unsigned int *now, unsigned int *pending) {
    return two(dev, __func__, "mig_mode", 0, "mig_mode_pending", number(dev ? dev->number : 0, "mig_mode", 0), now, pending);
}
nvml_return nvmlDeviceGetTotalEnergyConsumption(device dev, unsigned long long *out) {
    MEET(dev, 0);
    *out = (unsigned long long)(number(dev->number, "energy_joules", 1e6) * 1000.0);
    return SUCCESS;
}
nvml_return nvmlDeviceGetPcieThroughput(device dev, unsigned int counter, unsigned int *out) {
    MEET(dev, 0);
    if (counter > 1) return INVALID_ARGUMENT;
    *out = (unsigned int)number(dev->number, counter ? "pcie_rx_kbps" : "pcie_tx_kbps", 650);
    return SUCCESS;
}
nvml_return nvmlDeviceGetSupportedClocksEventReasons(device dev, unsigned long long *out) {
    MEET(dev, 0);
    *out = 0x1ff;
    return SUCCESS;
}

/* 0 shutdown, 1 slowdown, 2 memory, 3 the GPU's maximum. */
nvml_return nvmlDeviceGetTemperatureThreshold(device dev, unsigned int which, unsigned int *out) {
    static const struct { const char *key; double otherwise; } known[] = {
        {"temperature_shutdown_celsius", 92}, {"temperature_slowdown_celsius", 89}, {"memory_temperature_max_celsius", 95},
        {"temperature_max_celsius", 87}};
    MEET(dev, 0);
    if (which > 3) return NOT_SUPPORTED;
    *out = (unsigned int)number(dev->number, known[which].key, known[which].otherwise);
    return SUCCESS;
}

struct margin { unsigned int version; int celsius; };
nvml_return nvmlDeviceGetMarginTemperature(device dev, struct margin *out) {
    MEET(dev, 0);
    if (!VERSIONED(out, 1)) return ARGUMENT_VERSION_MISMATCH;
    out->celsius = (int)number(dev->number, "temperature_margin_celsius", 87 - number(dev->number, "temperature_celsius", 36));
    return SUCCESS;
}

struct violation { unsigned long long reference, time; };
nvml_return nvmlDeviceGetViolationStatus(device dev, unsigned int policy, struct violation *out) {
    static const char *keys[] = {"power", "thermal", "sync_boost", "board_limit", "low_utilization", "reliability"};
    char key[64];
    MEET(dev, 0);
    if (policy > 5) return NOT_SUPPORTED;
    snprintf(key, sizeof key, "violation_ns.%s", keys[policy]);
    out->reference = 1;
    out->time = (unsigned long long)number(dev->number, key, 0);
    return SUCCESS;
}

struct bar1 { unsigned long long total, free, used; };
nvml_return nvmlDeviceGetBAR1MemoryInfo(device dev, struct bar1 *out) {
    MEET(dev, 0);
    *out = (struct bar1){137438953472ull, 137438953472ull - 4194304, 4194304};
    return SUCCESS;
}

/* ---- memory errors ---- */

nvml_return nvmlDeviceGetMemoryErrorCounter(device dev, unsigned int type, unsigned int counter, unsigned int where,
                                            unsigned long long *out) {
    char key[64];
    MEET(dev, 0);
    if (type > 1 || counter > 1) return INVALID_ARGUMENT;
    if (where != 2 && where != 7) return NOT_SUPPORTED;
    snprintf(key, sizeof key, "ecc_%s_%s_%s", where == 2 ? "dram" : "sram", type ? "uncorrected" : "corrected",
             counter ? "aggregate" : "volatile");
    *out = (unsigned long long)number(dev->number, key, 0);
    return SUCCESS;
}

struct sram_status { unsigned int version; unsigned long long counts[11]; unsigned int exceeded; };
nvml_return nvmlDeviceGetSramEccErrorStatus(device dev, struct sram_status *out) {
    MEET(dev, 0);
    if (!VERSIONED(out, 1)) return ARGUMENT_VERSION_MISMATCH;
    memset(out->counts, 0, sizeof out->counts);
    out->exceeded = (unsigned int)number(dev->number, "ecc_sram_threshold_exceeded", 0);
    return SUCCESS;
}

struct histogram { unsigned int max, high, partial, low, none; };
nvml_return nvmlDeviceGetRowRemapperHistogram(device dev, struct histogram *out) {
    MEET(dev, 0);
    out->max = (unsigned int)number(dev->number, "row_remap_banks_max", 2560);
    out->high = (unsigned int)number(dev->number, "row_remap_banks_high", 0);
    out->partial = (unsigned int)number(dev->number, "row_remap_banks_partial", 0);
    out->low = (unsigned int)number(dev->number, "row_remap_banks_low", 0);
    out->none = (unsigned int)number(dev->number, "row_remap_banks_none", 0);
    return SUCCESS;
}

/* As above: a board that remaps rows has no retired pages, unless told otherwise. */
nvml_return nvmlDeviceGetRetiredPages(device dev, unsigned int cause, unsigned int *count, unsigned long long *out) {
    const char *key = cause ? "retired_pages_double_bit" : "retired_pages_single_bit";
    MEET(dev, 0);
    if (cause > 1) return INVALID_ARGUMENT;
    if (!setting(dev->number, key)) return NOT_SUPPORTED;
    unsigned int have = (unsigned int)number(dev->number, key, 0), room = *count;
    *count = have;
    if (have > room || (have && !out)) return INSUFFICIENT_SIZE;
    for (unsigned int i = 0; i < have; i++) out[i] = 0x1000ull * (i + 1);
    return SUCCESS;
}

/* ---- NVLink, fabric, topology ---- */

nvml_return nvmlDeviceGetNvLinkVersion(device dev, unsigned int link, unsigned int *out) {
    MEET(dev, 0);
    if (link >= (unsigned int)number(dev->number, "nvlinks", 18)) return NOT_SUPPORTED;
    *out = 4;
    return SUCCESS;
}
nvml_return nvmlDeviceGetNvLinkCapability(device dev, unsigned int link, unsigned int what, unsigned int *out) {
    MEET(dev, 0);
    if (link >= (unsigned int)number(dev->number, "nvlinks", 18) || what > 5) return NOT_SUPPORTED;
    *out = 1;
    return SUCCESS;
}
/* Counters: 0 replay, 1 recovery, 2 CRC of flits, 3 CRC of data. */
nvml_return nvmlDeviceGetNvLinkErrorCounter(device dev, unsigned int link, unsigned int counter, unsigned long long *out) {
    static const char *keys[] = {"replay", "recovery", "crc", "crc_data"};
    char key[64];
    MEET(dev, 0);
    if (link >= (unsigned int)number(dev->number, "nvlinks", 18) || counter > 3) return NOT_SUPPORTED;
    snprintf(key, sizeof key, "nvlink_errors.%u.%s", link, keys[counter]);
    *out = (unsigned long long)number(dev->number, key, 0);
    return SUCCESS;
}

struct fabric { unsigned char cluster[16]; nvml_return status; unsigned int clique; unsigned char state; };
struct fabric_v2 { unsigned int version; unsigned char cluster[16]; nvml_return status; unsigned int clique;
                   unsigned char state; unsigned int health; };
struct fabric_v3 { unsigned int version; unsigned char cluster[16]; nvml_return status; unsigned int clique;
                   unsigned char state; unsigned int health; unsigned char summary; };

nvml_return nvmlDeviceGetGpuFabricInfoV(device dev, struct fabric_v3 *out) {
    MEET(dev, 0);
    unsigned int newest = (unsigned int)number(dev->number, "fabric_version", 3);
    if (out->version != (sizeof(struct fabric_v2) | 2u << 24) && !(newest > 2 && VERSIONED(out, 3)))
        return ARGUMENT_VERSION_MISMATCH;
    out->status = (nvml_return)number(dev->number, "fabric_status", 0);
    out->clique = 0;
    out->state = (unsigned char)number(dev->number, "fabric_state", 3);
    out->health = (unsigned int)number(dev->number, "fabric_health", 0xaa);  /* each of the four: told, and not so */
    if (VERSIONED(out, 3)) out->summary = 1;
    return SUCCESS;
}
nvml_return nvmlDeviceGetGpuFabricInfo(device dev, struct fabric *out) {
    MEET(dev, 0);
    out->status = (nvml_return)number(dev->number, "fabric_status", 0);
    out->state = (unsigned char)number(dev->number, "fabric_state", 3);
    return SUCCESS;
}

/* Four GPUs on each processor: 20 is one host bridge or node, 50 is across. */
nvml_return nvmlDeviceGetTopologyCommonAncestor(device one, device other, unsigned int *out) {
    MEET(one, 1);
    MEET(other, 1);
    *out = one->number / 4 == other->number / 4 ? 40 : 50;
    return SUCCESS;
}
nvml_return nvmlDeviceGetTopologyNearestGpus(device dev, unsigned int level, unsigned int *count, device *out) {
    unsigned int found = 0;
    MEET(dev, 1);
    for (int i = 0; i < listed_count; i++) {
        device peer = &slots[listed[i]];
        if (peer == dev || (level < 50 && (level < 40 || peer->number / 4 != dev->number / 4))) continue;
        if (out && found < *count) out[found] = peer;
        found++;
    }
    *count = found;
    return SUCCESS;
}
nvml_return nvmlDeviceGetP2PStatus(device one, device other, unsigned int what, unsigned int *out) {
    (void)what;
    MEET(one, 1);
    MEET(other, 1);
    *out = 0;
    return SUCCESS;
}
nvml_return nvmlDeviceGetCpuAffinity(device dev, unsigned int size, unsigned long *out) {
    MEET(dev, 1);
    memset(out, 0, size * sizeof *out);
    if (size) out[0] = dev->number / 4 ? 0xffff0000ul : 0xfffful;
    return SUCCESS;
}
nvml_return nvmlDeviceGetMemoryAffinity(device dev, unsigned int size, unsigned long *out, unsigned int scope) {
    (void)scope;
    MEET(dev, 1);
    memset(out, 0, size * sizeof *out);
    if (size) out[0] = dev->number / 4 ? 2 : 1;
    return SUCCESS;
}

/* ---- MIG ---- */

enum { MAX_INSTANCES = 7 };
static struct slot instances[MAX_SLOTS][MAX_INSTANCES];

nvml_return nvmlDeviceGetMaxMigDeviceCount(device dev, unsigned int *out) {
    MEET(dev, 0);
    *out = MAX_INSTANCES;
    return SUCCESS;
}
nvml_return nvmlDeviceGetMigDeviceHandleByIndex(device dev, unsigned int index, device *out) {
    MEET(dev, 0);
    if (index >= MAX_INSTANCES) return INVALID_ARGUMENT;
    if (!number(dev->number, "mig_mode", 0) || index >= (unsigned int)number(dev->number, "mig_instances", 0)) return NOT_FOUND;
    instances[dev->number][index] = (struct slot){dev->number, (int)index + 1};
    *out = &instances[dev->number][index];
    return SUCCESS;
}
nvml_return nvmlDeviceIsMigDeviceHandle(device dev, unsigned int *out) {
    MEET(dev, 1);
    *out = dev->mig != 0;
    return SUCCESS;
}
nvml_return nvmlDeviceGetDeviceHandleFromMigDeviceHandle(device dev, device *out) {
    MEET(dev, 1);
    if (!dev->mig) return INVALID_ARGUMENT;
    *out = &slots[dev->number];
    return SUCCESS;
}
nvml_return nvmlDeviceGetGpuInstanceId(device dev, unsigned int *out) {
    MEET(dev, 1);
    if (!dev->mig) return NOT_SUPPORTED;
    *out = (unsigned int)dev->mig + 6;
    return SUCCESS;
}
nvml_return nvmlDeviceGetComputeInstanceId(device dev, unsigned int *out) {
    MEET(dev, 1);
    if (!dev->mig) return NOT_SUPPORTED;
    *out = 0;
    return SUCCESS;
}
struct attributes { unsigned int counts[8]; unsigned long long memory_mb; };
nvml_return nvmlDeviceGetAttributes_v2(device dev, struct attributes *out) {
    MEET(dev, 1);
    if (!dev->mig) return NOT_SUPPORTED;
    *out = (struct attributes){{16, 1, 1, 0, 1, 1, 1, 1}, 9856};
    return SUCCESS;
}

/* ---- events ---- */

struct event { device dev; unsigned long long type, data; unsigned int gpu_instance, compute_instance; };
struct event_set { long read_to; int is_registered[MAX_SLOTS]; };

nvml_return nvmlEventSetCreate(struct event_set **out) {
    const char *path = find("events_file");
    *out = calloc(1, sizeof **out);
    if (!*out) return UNKNOWN;
    FILE *file = path ? fopen(path, "r") : NULL;
    if (file) {
        fseek(file, 0, SEEK_END);
        (*out)->read_to = ftell(file);  /* only what happens from now on */
        fclose(file);
    }
    return SUCCESS;
}
nvml_return nvmlEventSetFree(struct event_set *set) {
    free(set);
    return SUCCESS;
}
nvml_return nvmlDeviceGetSupportedEventTypes(device dev, unsigned long long *out) {
    MEET(dev, 0);
    *out = 0x8 | 0x2 | 0x1;
    return SUCCESS;
}
nvml_return nvmlDeviceRegisterEvents(device dev, unsigned long long types, struct event_set *set) {
    MEET(dev, 0);
    set->is_registered[dev->number] = (types & 0x8) != 0;
    return SUCCESS;
}
nvml_return nvmlEventSetWait_v2(struct event_set *set, struct event *out, unsigned int milliseconds) {
    const char *path = find("events_file");
    for (unsigned int waited = 0;; waited += 10) {
        char line[64];
        int slot, xid;
        FILE *file = path ? fopen(path, "r") : NULL;
        if (file && !fseek(file, set->read_to, SEEK_SET) && fgets(line, sizeof line, file) && strchr(line, '\n')) {
            set->read_to = ftell(file);
            fclose(file);
            if (sscanf(line, "%d %d", &slot, &xid) == 2 && slot >= 0 && slot < MAX_SLOTS && set->is_registered[slot]) {
                *out = (struct event){&slots[slot], 0x8, (unsigned long long)xid, ~0u, ~0u};
                return SUCCESS;
            }
            continue;
        }
        if (file) fclose(file);
        if (waited >= milliseconds) return TIMEOUT;
        usleep(10000);
    }
}
