/* A stand-in for libnvidia-ml.so.1, for tests: answers NVML calls from a JSON description.
 *
 * The file is named by DAYTWO_NVML_STANDIN; without it eight healthy GPUs answer. All keys are optional:
 *   "driver_version": text          "gpu_count": 8
 *   "init_error": "DRIVER_NOT_LOADED" | "LIB_RM_VERSION_MISMATCH" | ... (an NVML_ERROR_ name without its head)
 *   "init_hang": true               nvmlInit never returns
 *   "all": {...}                    settings of every GPU
 *   "gpus": {"3": {...}}            settings of one GPU, by its slot (0 to gpu_count - 1)
 * Settings of a GPU: "missing": true (NVML does not list it, later indices shift), "lost": true,
 *   "hang": true | "nvmlDeviceGetPowerUsage", "errors": {"nvmlDeviceGetTemperature": "NOT_SUPPORTED"},
 *   "processes": [{"pid": 1, "memory_bytes": 2, "kind": "compute" | "graphics" | "mps"}],
 *   "nvlink_down": {"4": true}, "nvlink_errors": {"4": {"replay": 2}}, "mig_mode": 1, "mig_instances": 2,
 *   and every key that number() names here and in nvml_standin_more.c.
 *   "events_file": path              each line "SLOT XID" that is added to it is an event of nvmlEventSetWait
 */
#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

typedef int nvml_return;
typedef struct slot { int number, mig; } *device;  /* mig: number of an instance from 1 on, 0 for the whole GPU */

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
       TIMEOUT = 10, GPU_IS_LOST = 15, ARGUMENT_VERSION_MISMATCH = 25, UNKNOWN = 999, MAX_SLOTS = 64, MAX_ENTRIES = 16384, MAX_PATH_LENGTH = 512 };

/* ---- the description: JSON, flattened to "gpus.3.errors.nvmlDeviceGetSerial" -> "NOT_SUPPORTED" ---- */

static struct { char *path; char *text; } entries[MAX_ENTRIES];
static int entry_count;
static int loaded;
static struct slot slots[MAX_SLOTS];
static int listed[MAX_SLOTS];
static int listed_count;

static void fail(const char *why) {
    fprintf(stderr, "nvml stand-in: %s\n", why);
    _exit(3);
}

static const char *skip_blank(const char *at) {
    while (isspace((unsigned char)*at)) at++;
    return at;
}

static void keep(const char *path, const char *text, size_t length) {
    if (entry_count == MAX_ENTRIES) fail("the description is too long");
    entries[entry_count].path = strdup(path);
    entries[entry_count].text = strndup(text, length);
    entry_count++;
}

/* Strings of a description are plain: an escaped character stands for itself. */
static const char *read_string(const char *at, char *out, size_t size) {
    size_t used = 0;
    if (*at != '"') fail("expected a string");
    for (at++; *at && *at != '"'; at++) {
        if (*at == '\\' && at[1]) at++;
        if (used + 1 < size) out[used++] = *at;
    }
    if (*at != '"') fail("a string without end");
    out[used] = '\0';
    return at + 1;
}

static const char *read_value(const char *at, const char *path);

static const char *read_members(const char *at, const char *path, char close) {
    char key[128], child[MAX_PATH_LENGTH];
    int number = 0;
    for (at = skip_blank(at + 1); *at != close; at = skip_blank(at)) {
        if (close == '}') {
            at = skip_blank(read_string(at, key, sizeof key));
            if (*at++ != ':') fail("expected ':'");
        } else {
            snprintf(key, sizeof key, "%d", number++);
        }
        if ((size_t)snprintf(child, sizeof child, "%s%s%s", path, *path ? "." : "", key) >= sizeof child) fail("too deep");
        at = skip_blank(read_value(skip_blank(at), child));
        if (*at == ',') at++;
        else if (*at != close) fail("expected ',' or the end of a list");
    }
    return at + 1;
}

static const char *read_value(const char *at, const char *path) {
    char text[1024];
    const char *start = at;
    if (*at == '{') return read_members(at, path, '}');
    if (*at == '[') return read_members(at, path, ']');
    if (*at == '"') {
        at = read_string(at, text, sizeof text);
        keep(path, text, strlen(text));
        return at;
    }
    while (*at && !strchr(",]} \t\r\n", *at)) at++;
    if (at == start) fail("expected a value");
    keep(path, start, (size_t)(at - start));
    return at;
}

static const char *find(const char *path) {
    for (int i = 0; i < entry_count; i++)
        if (!strcmp(entries[i].path, path)) return entries[i].text;
    return NULL;
}

/* A setting of one GPU: its own, else that of all. */
static const char *setting(int slot, const char *key) {
    char path[MAX_PATH_LENGTH];
    snprintf(path, sizeof path, "gpus.%d.%s", slot, key);
    const char *text = find(path);
    if (text) return text;
    snprintf(path, sizeof path, "all.%s", key);
    return find(path);
}

static double number(int slot, const char *key, double otherwise) {
    const char *text = setting(slot, key);
    return text ? strtod(text, NULL) : otherwise;
}

static int flag(int slot, const char *key) {
    const char *text = setting(slot, key);
    return text && (!strcmp(text, "true") || !strcmp(text, "1"));
}

static void load(void) {
    const char *path = getenv("DAYTWO_NVML_STANDIN");
    if (loaded) return;
    loaded = 1;
    if (path && *path) {
        FILE *file = fopen(path, "r");
        char *text = calloc(1, 1 << 20);
        if (!file || !text) fail("cannot read DAYTWO_NVML_STANDIN");
        size_t length = fread(text, 1, (1 << 20) - 1, file);
        fclose(file);
        if (!length) fail("the description is empty");
        read_value(skip_blank(text), "");
        free(text);
    }
    const char *count_text = find("gpu_count");
    int count = count_text ? atoi(count_text) : 8;
    for (int i = 0; i < count && i < MAX_SLOTS; i++) {
        slots[i].number = i;
        if (!flag(i, "missing")) listed[listed_count++] = i;
    }
}

/* ---- errors ---- */

static const struct { int code; const char *name; const char *words; } errors[] = {
    {0, "SUCCESS", "Success"}, {1, "UNINITIALIZED", "Uninitialized"}, {2, "INVALID_ARGUMENT", "Invalid Argument"},
    {3, "NOT_SUPPORTED", "Not Supported"}, {4, "NO_PERMISSION", "Insufficient Permissions"}, {6, "NOT_FOUND", "Not Found"},
    {7, "INSUFFICIENT_SIZE", "Insufficient Size"}, {8, "INSUFFICIENT_POWER", "Insufficient External Power"},
    {9, "DRIVER_NOT_LOADED", "Driver Not Loaded"}, {10, "TIMEOUT", "Timeout"},
    {11, "IRQ_ISSUE", "Interrupt Request Issue"}, {13, "FUNCTION_NOT_FOUND", "Function Not Found"}, {14, "CORRUPTED_INFOROM", "Corrupted infoROM"},
    {15, "GPU_IS_LOST", "GPU is lost"}, {16, "RESET_REQUIRED", "GPU requires reset"},
    {17, "OPERATING_SYSTEM", "The operating system has blocked the request"},
    {18, "LIB_RM_VERSION_MISMATCH", "Driver/library version mismatch"}, {23, "INSUFFICIENT_RESOURCES", "Insufficient resources"},
    {25, "ARGUMENT_VERSION_MISMATCH", "Argument version mismatch"}, {26, "DEPRECATED", "Deprecated"},
    {999, "UNKNOWN", "Unknown Error"},
};

static nvml_return error_code(const char *name) {
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (!strcmp(errors[i].name, name)) return errors[i].code;
    fail("no such NVML error");
    return UNKNOWN;
}

const char *nvmlErrorString(nvml_return code) {
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].code == code) return errors[i].words;
    return "Unknown Error";
}

static void never_return(void) {
    for (;;) pause();
}

/* What a call on a GPU runs into before it answers: a hang, an error by name, a GPU that is gone. */
static nvml_return obstacle(int slot, const char *call, int cached) {
    char key[128];
    const char *hang = setting(slot, "hang");
    if (hang && (!strcmp(hang, "true") || !strcmp(hang, call))) never_return();
    snprintf(key, sizeof key, "errors.%s", call);
    const char *name = setting(slot, key);
    if (name) return error_code(name);
    return !cached && flag(slot, "lost") ? GPU_IS_LOST : SUCCESS;
}

#define MEET(dev, cached) do { \
    nvml_return met = (dev) ? obstacle((dev)->number, __func__, cached) : INVALID_ARGUMENT; \
    if (met != SUCCESS) return met; } while (0)

/* One call, one number of the description. */
#define ANSWER(call, key, scale, otherwise) \
    nvml_return call(device dev, unsigned int *out) { \
        MEET(dev, 0); *out = (unsigned int)(number(dev->number, key, otherwise) * (scale) + 0.5); return SUCCESS; }

/* ---- the library ---- */

nvml_return nvmlInitWithFlags(unsigned int flags) {
    (void)flags;
    load();
    const char *hang = find("init_hang");
    if (hang && !strcmp(hang, "true")) never_return();
    const char *name = find("init_error");
    return name ? error_code(name) : SUCCESS;
}
nvml_return nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
nvml_return nvmlShutdown(void) { return SUCCESS; }

static nvml_return put(char *out, unsigned int size, const char *text) {
    if (strlen(text) + 1 > size) return INSUFFICIENT_SIZE;
    strcpy(out, text);
    return SUCCESS;
}

nvml_return nvmlSystemGetDriverVersion(char *out, unsigned int size) {
    const char *version = find("driver_version");
    return put(out, size, version ? version : "570.124.06");
}

nvml_return nvmlSystemGetNVMLVersion(char *out, unsigned int size) { return put(out, size, "12.570.124.06"); }

nvml_return nvmlSystemGetCudaDriverVersion_v2(int *out) { *out = 12080; return SUCCESS; }

nvml_return nvmlDeviceGetCount_v2(unsigned int *out) {
    *out = (unsigned int)listed_count;
    return SUCCESS;
}

nvml_return nvmlDeviceGetHandleByIndex_v2(unsigned int index, device *out) {
    if (index >= (unsigned int)listed_count) return INVALID_ARGUMENT;
    device dev = &slots[listed[index]];
    MEET(dev, 1);
    *out = dev;
    return SUCCESS;
}

/* Bus numbers of an eight-GPU board; beyond the sixteenth slot they are counted on. */
static void pci_of(int slot, char *out, size_t size) {
    static const int buses[16] = {0x18, 0x2a, 0x3a, 0x5d, 0x9a, 0xab, 0xba, 0xdb, 0x19, 0x2b, 0x3b, 0x5e, 0x9b, 0xac, 0xbb, 0xdc};
    const char *text = setting(slot, "pci");
    if (text) snprintf(out, size, "%s", text);
    else snprintf(out, size, "00000000:%02X:00.0", slot < 16 ? buses[slot] : 0x60 + slot - 16);
}

struct pci_info { char legacy[16]; unsigned int domain, bus, dev, device_id, subsystem_id; char bus_id[32]; };

nvml_return nvmlDeviceGetPciInfo_v3(device dev, struct pci_info *out) {
    MEET(dev, 1);
    memset(out, 0, sizeof *out);
    pci_of(dev->number, out->bus_id, sizeof out->bus_id);
    sscanf(out->bus_id, "%x:%x:%x", &out->domain, &out->bus, &out->dev);
    snprintf(out->legacy, sizeof out->legacy, "%04x:%02x:%02x.0", out->domain & 0xffff, out->bus & 0xff, out->dev & 0xff);
    out->device_id = 0x233010de;
    out->subsystem_id = 0x16c110de;
    return SUCCESS;
}

nvml_return nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, device *out) {
    char mine[32];
    for (int i = 0; i < listed_count; i++) {
        pci_of(listed[i], mine, sizeof mine);
        if (!strcasecmp(mine, bus_id) || !strcasecmp(mine + 4, bus_id)) { *out = &slots[listed[i]]; return SUCCESS; }
    }
    return NOT_FOUND;
}

nvml_return nvmlDeviceGetIndex(device dev, unsigned int *out) {
    MEET(dev, 1);
    for (int i = 0; i < listed_count; i++) if (listed[i] == dev->number) *out = (unsigned int)i;
    return SUCCESS;
}

static nvml_return put_name(device dev, const char *key, const char *format, char *out, unsigned int size) {
    char text[96];
    const char *given = setting(dev->number, key);
    snprintf(text, sizeof text, format, dev->number);
    return put(out, size, given ? given : text);
}

static nvml_return put_mig_uuid(device dev, char *out, unsigned int size) {
    char text[96];
    snprintf(text, sizeof text, "MIG-5a0d17c0-0000-4000-80%02x-0000000000%02x", dev->mig, dev->number);
    return put(out, size, text);
}

nvml_return nvmlDeviceGetUUID(device dev, char *out, unsigned int size) {
    MEET(dev, 1);
    if (dev->mig) return put_mig_uuid(dev, out, size);
    return put_name(dev, "uuid", "GPU-5a0d17c0-0000-4000-8000-0000000000%02x", out, size);
}
nvml_return nvmlDeviceGetSerial(device dev, char *out, unsigned int size) {
    MEET(dev, 0);
    return put_name(dev, "serial", "16502230000%02d", out, size);
}
nvml_return nvmlDeviceGetName(device dev, char *out, unsigned int size) {
    MEET(dev, 1);
    return put_name(dev, "name", dev->mig ? "NVIDIA H100 80GB HBM3 MIG 1g.10gb" : "NVIDIA H100 80GB HBM3", out, size);
}

ANSWER(nvmlDeviceGetPowerUsage, "power_watts", 1000.0, 71.5)
ANSWER(nvmlDeviceGetPowerManagementLimit, "power_limit_watts", 1000.0, 700)
ANSWER(nvmlDeviceGetEnforcedPowerLimit, "power_limit_watts", 1000.0, 700)
ANSWER(nvmlDeviceGetPowerManagementDefaultLimit, "power_limit_default_watts", 1000.0, 700)
ANSWER(nvmlDeviceGetCurrPcieLinkWidth, "pcie_width", 1.0, 16)
ANSWER(nvmlDeviceGetMaxPcieLinkWidth, "pcie_width_max", 1.0, 16)
ANSWER(nvmlDeviceGetCurrPcieLinkGeneration, "pcie_generation", 1.0, 5)
ANSWER(nvmlDeviceGetMaxPcieLinkGeneration, "pcie_generation_max", 1.0, 5)
ANSWER(nvmlDeviceGetPcieReplayCounter, "pcie_replays", 1.0, 0)

/* Pages are retired before Ampere, rows are remapped since: this board says "not supported" unless told otherwise. */
nvml_return nvmlDeviceGetRetiredPagesPendingStatus(device dev, unsigned int *out) {
    MEET(dev, 0);
    if (!setting(dev->number, "retired_pages_pending")) return NOT_SUPPORTED;
    *out = (unsigned int)number(dev->number, "retired_pages_pending", 0);
    return SUCCESS;
}

nvml_return nvmlDeviceGetTemperature(device dev, unsigned int sensor, unsigned int *out) {
    MEET(dev, 0);
    if (sensor != 0) return INVALID_ARGUMENT;
    *out = (unsigned int)number(dev->number, "temperature_celsius", 34 + dev->number % 8);
    return SUCCESS;
}

struct temperature { unsigned int version, sensor; int celsius; };

nvml_return nvmlDeviceGetTemperatureV(device dev, struct temperature *out) {
    MEET(dev, 0);
    out->celsius = (int)number(dev->number, "temperature_celsius", 34 + dev->number % 8);
    return SUCCESS;
}

/* Clock types: 0 graphics, 1 SM, 2 memory, 3 video. */
nvml_return nvmlDeviceGetClockInfo(device dev, unsigned int type, unsigned int *out) {
    MEET(dev, 0);
    *out = type == 2 ? (unsigned int)number(dev->number, "memory_clock_mhz", 2619)
                     : (unsigned int)number(dev->number, "sm_clock_mhz", 1980);
    return SUCCESS;
}
nvml_return nvmlDeviceGetMaxClockInfo(device dev, unsigned int type, unsigned int *out) {
    MEET(dev, 0);
    *out = type == 2 ? (unsigned int)number(dev->number, "memory_clock_max_mhz", 2619)
                     : (unsigned int)number(dev->number, "sm_clock_max_mhz", 1980);
    return SUCCESS;
}

struct utilisation { unsigned int gpu, memory; };

nvml_return nvmlDeviceGetUtilizationRates(device dev, struct utilisation *out) {
    MEET(dev, 0);
    out->gpu = (unsigned int)number(dev->number, "utilization_percent", 0);
    out->memory = (unsigned int)number(dev->number, "memory_utilization_percent", 0);
    return SUCCESS;
}

/* The first version counts what the driver keeps for itself as used, the second tells it apart. */
struct memory { unsigned long long total, free, used; };
struct memory_v2 { unsigned int version; unsigned long long total, reserved, free, used; };

static struct memory_v2 tell_memory(device dev) {
    int parts = dev->mig ? 8 : 1;
    struct memory_v2 told = {.version = sizeof told | 2u << 24};
    told.total = (unsigned long long)number(dev->number, "memory_total_bytes", 85520809984.0) / parts;
    told.reserved = (unsigned long long)number(dev->number, "memory_reserved_bytes", 625999872.0) / parts;
    told.used = (unsigned long long)number(dev->number, "memory_used_bytes", 0);
    told.free = told.total - told.reserved - told.used;
    return told;
}
nvml_return nvmlDeviceGetMemoryInfo_v2(device dev, struct memory_v2 *out) {
    MEET(dev, 0);
    if (out->version != (sizeof *out | 2u << 24)) return ARGUMENT_VERSION_MISMATCH;
    *out = tell_memory(dev);
    return SUCCESS;
}
nvml_return nvmlDeviceGetMemoryInfo(device dev, struct memory *out) {
    MEET(dev, 0);
    struct memory_v2 told = tell_memory(dev);
    *out = (struct memory){told.total, told.free, told.used + told.reserved};
    return SUCCESS;
}

static nvml_return reasons(int slot, unsigned long long *out) {
    const char *text = setting(slot, "clock_event_reasons");
    *out = text ? strtoull(text, NULL, 0) : 0;
    return SUCCESS;
}
nvml_return nvmlDeviceGetCurrentClocksEventReasons(device dev, unsigned long long *out) {
    MEET(dev, 0);
    return reasons(dev->number, out);
}
nvml_return nvmlDeviceGetCurrentClocksThrottleReasons(device dev, unsigned long long *out) {
    MEET(dev, 0);
    return reasons(dev->number, out);
}

/* Error types: 0 corrected, 1 uncorrected; counters: 0 volatile, 1 aggregate. */
nvml_return nvmlDeviceGetTotalEccErrors(device dev, unsigned int type, unsigned int counter, unsigned long long *out) {
    static const char *keys[2][2] = {{"ecc_corrected_volatile", "ecc_corrected_aggregate"},
                                     {"ecc_uncorrected_volatile", "ecc_uncorrected_aggregate"}};
    MEET(dev, 0);
    if (type > 1 || counter > 1) return INVALID_ARGUMENT;
    *out = (unsigned long long)number(dev->number, keys[type][counter], 0);
    return SUCCESS;
}

nvml_return nvmlDeviceGetRemappedRows(device dev, unsigned int *corrected, unsigned int *uncorrected,
                                      unsigned int *pending, unsigned int *failure) {
    MEET(dev, 0);
    *corrected = (unsigned int)number(dev->number, "row_remap_corrected", 0);
    *uncorrected = (unsigned int)number(dev->number, "row_remap_uncorrected", 0);
    *pending = (unsigned int)number(dev->number, "row_remap_pending", 0);
    *failure = (unsigned int)number(dev->number, "row_remap_failure", 0);
    return SUCCESS;
}

nvml_return nvmlDeviceGetNvLinkState(device dev, unsigned int link, unsigned int *out) {
    char key[32];
    MEET(dev, 0);
    if (link >= (unsigned int)number(dev->number, "nvlinks", 18)) return NOT_SUPPORTED;
    snprintf(key, sizeof key, "nvlink_down.%u", link);
    *out = !flag(dev->number, key);
    return SUCCESS;
}

struct field_value {
    unsigned int field, scope;
    long long timestamp, latency;
    unsigned int type;
    nvml_return code;
    union { double d; unsigned int u; unsigned long long ull; } value;
};

static const struct { unsigned int field; const char *key; double otherwise; unsigned int type; } fields[] = {
    {38, "nvlink_crc_flit_errors", 0, 3}, {45, "nvlink_crc_data_errors", 0, 3}, {52, "nvlink_replay_errors", 0, 3},
    {59, "nvlink_recovery_errors", 0, 3}, {82, "memory_temperature_celsius", 44, 1}, {91, "nvlinks", 18, 1},
    {230, "recovery_action", 0, 1}, {95, "pcie_replay_rollovers", 0, 1},
    {269, "sw_thermal_slowdown_ns", 0, 3}, {270, "hw_thermal_slowdown_ns", 0, 3}, {271, "hw_power_brake_ns", 0, 3},
};
/* Counters of one link, which the scope names: "nvlink_errors": {"4": {"replay": 2}}. */
static const struct { unsigned int field; const char *key; } link_fields[] = {
    {161, "replay"}, {162, "recovery"}, {163, "crc"}, {138, "sent_kib"}, {139, "received_kib"},
};

static void answer_link_field(int slot, struct field_value *field, const char *key) {
    char path[64];
    if (field->scope >= (unsigned int)number(slot, "nvlinks", 18)) return;
    snprintf(path, sizeof path, "nvlink_errors.%u.%s", field->scope, key);
    field->code = SUCCESS;
    field->type = 3;
    field->value.ull = (unsigned long long)number(slot, path, 0);
}

static void answer_field(int slot, struct field_value *field) {
    field->code = NOT_SUPPORTED;
    for (size_t i = 0; i < sizeof link_fields / sizeof *link_fields; i++)
        if (link_fields[i].field == field->field) answer_link_field(slot, field, link_fields[i].key);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (fields[i].field != field->field) continue;
        const char *text = setting(slot, fields[i].key);
        if (text && !strcmp(text, "null")) return;  /* null: this GPU does not tell */
        double value = text ? strtod(text, NULL) : fields[i].otherwise;
        field->code = SUCCESS;
        field->type = fields[i].type;
        if (field->type == 3) field->value.ull = (unsigned long long)value;
        else field->value.u = (unsigned int)value;
    }
}

nvml_return nvmlDeviceGetFieldValues(device dev, int count, struct field_value *values) {
    MEET(dev, 0);
    for (int i = 0; i < count; i++) answer_field(dev->number, &values[i]);
    return SUCCESS;
}

#include "nvml_standin_more.c"
