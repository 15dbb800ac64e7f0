/*
 * schema_table: the rows of schema.h. To add a key: a member of struct service_spec, one ROW here, a
 * line in the tests' table of ranges. Decoder, defaults, change class and documentation follow from
 * the row.
 */
/* SPDX-License-Identifier: MIT */
#include "lib/schema_table.h"

#include "lib/mem.h"
#include "lib/schema_brief.h"
#include "lib/schema_check.h"

#define SECOND INT64_C(1000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define KIB INT64_C(1024)
#define MIB (KIB * KIB)
#define TIB (MIB * MIB)

#define NONE SCHEMA_NO_FIELD
#define HEAD(field) offsetof(struct schema_head, field)
#define AT(field) offsetof(struct service_spec, field)
#define IN_PORT(field) offsetof(struct port_spec, field)
#define IN_SECRET(field) offsetof(struct secret_spec, field)
#define IN_WARMUP(field) offsetof(struct warmup_spec, field)
#define IN_RULE(field) offsetof(struct restart_rule, field)
#define IN_REQUEST(field) offsetof(struct request_spec, field)
#define IN_DEPEND(field) offsetof(struct depend_spec, field)
#define IN_HOOK(field) offsetof(struct hook_spec, field)
#define IN_METRIC(field) offsetof(struct autoscale_metric, field)
#define IN_WINDOW(field) offsetof(struct autoscale_window, field)
#define IN_VOLUME(field) offsetof(struct volume_spec, field)
#define IN_DEVICE(field) offsetof(struct device_spec, field)
#define ROW(p, t, off, ...)                                                                        \
	{                                                                                          \
		.path = (p), .type = SCHEMA_##t, .offset = (off), __VA_ARGS__                      \
	}
#define SVC "services.*"
#define LIVE .change = CHANGE_LIVE
#define RELOAD .change = CHANGE_RELOAD
#define REPLACE .change = CHANGE_REPLACE
#define RANGE(lo, hi) .min = (lo), .max = (hi)

#define ULIMIT(name, which, most, text)                                                            \
	ROW(SVC ".ulimits." name, LIMIT, AT(ulimits[which]), REPLACE, RANGE(0, most),              \
	    .def_note = "inherited", .doc = text)
#define ANY_LIMIT (INT64_MAX - 1)
#define NUMBER_MAX 1000000000000000 /* thousandths */

/* The keys of a request; at: offset of a struct request_spec. */
#define REQUEST(p, at)                                                                             \
	ROW(p ".path", STRING, (at) + IN_REQUEST(path), LIVE, .def = "/",                          \
	    .check = schema_check_url_path, .doc = "Path and query to ask for"),                   \
		ROW(p ".host", STRING, (at) + IN_REQUEST(host), LIVE, .def = "127.0.0.1",          \
		    .check = schema_check_address, .doc = "Numeric address to ask"),               \
		ROW(p ".port", PORTREF, (at) + IN_REQUEST(port), LIVE, RANGE(1, 65535),            \
		    .def_note = "the replica's own ${PORT}",                                       \
		    .doc = "Port to ask: a number, or a name in ports"),                           \
		ROW(p ".method", ENUM, (at) + IN_REQUEST(method), LIVE, .def = "GET",              \
		    .names = "GET|HEAD|POST|PUT", .doc = "What is done there"),                    \
		ROW(p ".headers", MAP, (at) + IN_REQUEST(headers), LIVE, RANGE(0, 64),             \
		    .flags = SCHEMA_SECRET | SCHEMA_VERBATIM, .check = schema_check_field,         \
		    .def_note = "none", .doc = "Header fields of the request"),                    \
		ROW(p ".body", STRING, (at) + IN_REQUEST(body), LIVE, .flags = SCHEMA_VERBATIM,    \
		    .check = schema_check_body, .def_note = "none",                                \
		    .doc = "Body of a POST or PUT; JSON unless headers say otherwise"),            \
		ROW(p ".expect", OBJECT, NONE, LIVE, .doc = "What the answer must be"),            \
		ROW(p ".expect.status", LIST, (at) + IN_REQUEST(statuses), LIVE, RANGE(1, 32),     \
		    .flags = SCHEMA_ONE_OR_MANY, .check = schema_check_statuses,                   \
		    .def_note = "200-399", .doc = "Statuses, as 200 and 200-299"),                 \
		ROW(p ".expect.json", TREE, (at) + IN_REQUEST(json), LIVE,                         \
		    .def_note = "any answer",                                                      \
		    .doc = "Members that the answer, a JSON object, must have with these values"), \
		ROW(p ".max_latency", DURATION, (at) + IN_REQUEST(max_latency_ms), LIVE,           \
		    RANGE(1, HOUR), .def_note = "only the timeout",                                \
		    .doc = "An answer that takes longer failed, though it came")

/* The keys that every probe has. */
#define PROBE(name, i, every, max_successes, text)                                                 \
	ROW(SVC ".probes." name, OBJECT, AT(probes[i].enabled), LIVE, .flags = SCHEMA_ONE_OF,      \
	    .def_note = "no probe", .doc = text),                                                  \
		ROW(SVC ".probes." name ".http", OBJECT, AT(probes[i].http), LIVE,                 \
		    .flags = SCHEMA_CHOICE, .doc = "Ask this; 200 to 399 is success"),             \
		REQUEST(SVC ".probes." name ".http", AT(probes[i].request)),                       \
		ROW(SVC ".probes." name ".tcp", OBJECT, AT(probes[i].tcp), LIVE,                   \
		    .flags = SCHEMA_CHOICE, .doc = "Connect to this; being accepted is success"),  \
		ROW(SVC ".probes." name ".tcp.host", STRING, AT(probes[i].tcp_host), LIVE,         \
		    .def = "127.0.0.1", .check = schema_check_address,                             \
		    .doc = "Numeric address to connect to"),                                       \
		ROW(SVC ".probes." name ".tcp.port", PORTREF, AT(probes[i].tcp_port), LIVE,        \
		    RANGE(1, 65535), .def_note = "the replica's own ${PORT}",                      \
		    .doc = "Port to connect to: a number, or a name in ports"),                    \
		ROW(SVC ".probes." name ".grpc", OBJECT, AT(probes[i].grpc), LIVE,                 \
		    .flags = SCHEMA_CHOICE,                                                        \
		    .doc = "Ask the standard gRPC health service; SERVING is success"),            \
		ROW(SVC ".probes." name ".grpc.service", STRING, AT(probes[i].grpc_service), LIVE, \
		    .def = "", .check = schema_check_grpc_service,                                 \
		    .doc = "Name to ask for; empty asks for the server as a whole"),               \
		ROW(SVC ".probes." name ".grpc.host", STRING, AT(probes[i].grpc_host), LIVE,       \
		    .def = "127.0.0.1", .check = schema_check_address,                             \
		    .doc = "Numeric address to ask"),                                              \
		ROW(SVC ".probes." name ".grpc.port", PORTREF, AT(probes[i].grpc_port), LIVE,      \
		    RANGE(1, 65535), .def_note = "the replica's own ${PORT}",                      \
		    .doc = "Port to ask: a number, or a name in ports"),                           \
		ROW(SVC ".probes." name ".file", OBJECT, AT(probes[i].file), LIVE,                 \
		    .flags = SCHEMA_CHOICE | SCHEMA_PROCESS,                                       \
		    .doc = "Look for this file, as the service"),                                  \
		ROW(SVC ".probes." name ".file.path", STRING, AT(probes[i].file_path), LIVE,       \
		    .flags = SCHEMA_REQUIRED | SCHEMA_EXPANDED, .check = schema_check_given,       \
		    .doc = "File that must be there; relative to working_dir"),                    \
		ROW(SVC ".probes." name ".file.max_age", DURATION, AT(probes[i].file_max_age_ms),  \
		    LIVE, RANGE(1, 30 * DAY), .def_note = "any age",                               \
		    .doc = "It must have been changed within that time: a heartbeat"),             \
		ROW(SVC ".probes." name ".exec", OBJECT, AT(probes[i].exec), LIVE,                 \
		    .flags = SCHEMA_CHOICE, .doc = "Run this as the service; 0 is success"),       \
		ROW(SVC ".probes." name ".exec.command", LIST, AT(probes[i].exec_command), LIVE,   \
		    RANGE(1, 4096), .flags = SCHEMA_REQUIRED | SCHEMA_EXPANDED,                    \
		    .doc = "Program and arguments"),                                               \
		ROW(SVC ".probes." name ".initial_delay", DURATION,                                \
		    AT(probes[i].initial_delay_ms), LIVE, RANGE(0, DAY), .def = "0s",              \
		    .doc = "Wait before the first attempt"),                                       \
		ROW(SVC ".probes." name ".period", DURATION, AT(probes[i].period_ms), LIVE,        \
		    RANGE(100, DAY), .def = every, .doc = "Time from one attempt to the next"),    \
		ROW(SVC ".probes." name ".timeout", DURATION, AT(probes[i].timeout_ms), LIVE,      \
		    RANGE(10, HOUR), .def = "2s", .doc = "An attempt that takes longer failed"),   \
		ROW(SVC ".probes." name ".success_threshold", INT,                                 \
		    AT(probes[i].success_threshold), LIVE, RANGE(1, max_successes), .def = "1",    \
		    .doc = "Successes in a row that count as passed")
#define PROGRESS(field) AT(probes[PROBE_LIVENESS].progress_##field)
#define FAILURES(name, i)                                                                          \
	ROW(SVC ".probes." name ".failure_threshold", INT, AT(probes[i].failure_threshold), LIVE,  \
	    RANGE(1, 1000), .def = "3", .doc = "Failures in a row that count as failed")

#define HOOK(name, kind, text)                                                                     \
	ROW(SVC ".hooks." name, TABLE, AT(hooks[kind]), LIVE, RANGE(0, 16),                        \
	    .flags = SCHEMA_LISTED, .size = sizeof(struct hook_spec), .def_note = "none",          \
	    .doc = text),                                                                          \
		ROW(SVC ".hooks." name ".*", OBJECT, NONE, LIVE, .flags = SCHEMA_ONE_OF,           \
		    .doc = "One step"),                                                            \
		ROW(SVC ".hooks." name ".*.exec", OBJECT, IN_HOOK(exec), LIVE,                     \
		    .flags = SCHEMA_CHOICE, .doc = "Run this as the service; 0 is success"),       \
		ROW(SVC ".hooks." name ".*.exec.command", LIST, IN_HOOK(command), LIVE,            \
		    RANGE(1, 4096), .flags = SCHEMA_REQUIRED | SCHEMA_EXPANDED,                    \
		    .doc = "Program and arguments"),                                               \
		ROW(SVC ".hooks." name ".*.http", OBJECT, IN_HOOK(http), LIVE,                     \
		    .flags = SCHEMA_CHOICE, .doc = "Ask this; 200 to 399 is success"),             \
		REQUEST(SVC ".hooks." name ".*.http", IN_HOOK(request)),                           \
		ROW(SVC ".hooks." name ".*.timeout", DURATION, IN_HOOK(timeout_ms), LIVE,          \
		    RANGE(100, DAY), .def = "30s", .doc = "A step that takes longer is killed"),   \
		ROW(SVC ".hooks." name ".*.on_failure", ENUM, IN_HOOK(on_failure), LIVE,           \
		    .def = "abort", .names = "abort|ignore",                                       \
		    .doc = "Does its failure end the hook, or does the next step follow?")

/* What a scaler looks at; at: offset of a struct autoscale_metric. */
#define METRIC(p, at, flag)                                                                        \
	ROW(p ".metric", ENUM, (at) + IN_METRIC(kind), LIVE, .flags = (flag),                      \
	    .names = "concurrency|rps|cpu|memory|prometheus", .def_note = "none",                  \
	    .doc = "What is looked at"),                                                           \
		ROW(p ".target", NUMBER, (at) + IN_METRIC(target), LIVE, RANGE(1, NUMBER_MAX),     \
		    .def_note = "0.7 of concurrency, else 8; rps 200; cpu, memory 80",             \
		    .doc = "What one replica shall have of it; cpu, memory: percent"),             \
		ROW(p ".name", STRING, (at) + IN_METRIC(name), LIVE, .check = schema_check_metric, \
		    .def_note = "none",                                                            \
		    .doc = "Prometheus: the metric's name; summed over its labels"),               \
		ROW(p ".path", STRING, (at) + IN_METRIC(path), LIVE, .def = "/metrics",            \
		    .check = schema_check_url_path, .doc = "Prometheus: page of metrics"),         \
		ROW(p ".port", PORTREF, (at) + IN_METRIC(port), LIVE, RANGE(1, 65535),             \
		    .def_note = "the replica's own ${PORT}",                                       \
		    .doc = "Prometheus: port to ask: a number, or a name in ports")

#define TIMEOUT(key, field, given, text)                                                           \
	ROW(SVC ".timeouts." key, DURATION, AT(timeouts.field), LIVE, RANGE(1, 7 * DAY), given,    \
	    .doc = text)

/* A line of the replica's output. */
#define LOG_LINE(name, i)                                                                          \
	ROW(SVC ".probes." name ".log", OBJECT, AT(probes[i].log), LIVE, .flags = SCHEMA_CHOICE,   \
	    .doc = "Wait for a line of the output; once it has come, the probe passes"),           \
		ROW(SVC ".probes." name ".log.pattern", STRING, AT(probes[i].log_pattern), LIVE,   \
		    .flags = SCHEMA_REQUIRED | SCHEMA_VERBATIM, .check = schema_check_pattern,     \
		    .doc = "POSIX extended regular expression that the line matches")

static const struct schema_row rows[] = {
	ROW("version", INT, HEAD(version), RANGE(1, 1), .flags = SCHEMA_REQUIRED,
	    .doc = "Version of the format: 1"),
	ROW("name", STRING, HEAD(name), .check = schema_check_label,
	    .def_note = "the directory's name",
	    .doc = "The apply set: applying a manifest touches nothing of other sets"),
	ROW("defaults", DEFAULTS, NONE,
	    .doc = "Keys of a service: what a service of this file does not say itself"),
	ROW("x-*", ANY, NONE, .doc = "Ignored: a place for anchors and for other tools"),
	ROW("services", SERVICES, NONE, .flags = SCHEMA_REQUIRED,
	    .doc = "The services by name; a name is a DNS label"),
	ROW(SVC, OBJECT, NONE, .doc = "One service"),
	ROW(SVC ".description", STRING, AT(description), LIVE, .def = "", .flags = SCHEMA_VERBATIM,
	    .doc = "One line for people"),
	ROW(SVC ".command", LIST, AT(command), REPLACE, RANGE(1, 4096),
	    .flags = SCHEMA_NEEDED | SCHEMA_EXPANDED,
	    .def_note = "the image's; without image it must be given",
	    .doc = "Program and arguments; no shell is run unless it names one"),
	ROW(SVC ".working_dir", STRING, AT(working_dir), REPLACE, .check = schema_check_given,
	    .def_note = "the manifest's directory",
	    .doc = "Where the command runs; relative to the manifest's directory"),
	ROW(SVC ".user", STRING, AT(user), REPLACE, .check = schema_check_user,
	    .def_note = "under root: --default-user, else the caller",
	    .doc = "System user that the command runs as"),
	ROW(SVC ".group", STRING, AT(group), REPLACE, .check = schema_check_group,
	    .def_note = "the user's own", .doc = "System group that the command runs as"),
	ROW(SVC ".umask", UMASK, AT(umask), REPLACE, RANGE(0, 0777), .def = "022",
	    .flags = SCHEMA_PROCESS,
	    .doc = "Permissions that new files of the command do not get, in octal"),
	ROW(SVC ".nice", INT, AT(nice), REPLACE, RANGE(-20, 19), .def = "0",
	    .flags = SCHEMA_PROCESS,
	    .doc = "CPU priority; 19 is the lowest, below 0 needs a root daemon"),
	ROW(SVC ".oom_score", INT, AT(oom_score), REPLACE, RANGE(-1000, 1000),
	    .flags = SCHEMA_PROCESS | SCHEMA_UNSET, .def_note = "inherited",
	    .doc = "Who is killed first when memory is short: 1000 first, -1000 never"),
	ROW(SVC ".ulimits", OBJECT, NONE, REPLACE, .doc = "Limits of each process"),
	ROW(SVC ".ulimits.as", LIMIT, AT(ulimits[SPEC_RLIMIT_AS]), REPLACE, RANGE(0, ANY_LIMIT),
	    .flags = SCHEMA_PROCESS, .def_note = "inherited", .doc = "Address space in bytes"),
	ULIMIT("core", SPEC_RLIMIT_CORE, ANY_LIMIT, "Size of a core file in bytes"),
	ULIMIT("cpu", SPEC_RLIMIT_CPU, ANY_LIMIT, "CPU time in seconds"),
	ULIMIT("data", SPEC_RLIMIT_DATA, ANY_LIMIT, "Data segment in bytes"),
	ULIMIT("fsize", SPEC_RLIMIT_FSIZE, ANY_LIMIT, "Size of a written file in bytes"),
	ULIMIT("locks", SPEC_RLIMIT_LOCKS, ANY_LIMIT, "File locks; Linux ignores it"),
	ULIMIT("memlock", SPEC_RLIMIT_MEMLOCK, ANY_LIMIT, "Locked memory in bytes"),
	ULIMIT("msgqueue", SPEC_RLIMIT_MSGQUEUE, ANY_LIMIT, "POSIX message queues in bytes"),
	ULIMIT("nice", SPEC_RLIMIT_NICE, 40, "Nice values it may take: 20 minus the lowest"),
	ULIMIT("nofile", SPEC_RLIMIT_NOFILE, ANY_LIMIT, "Open files"),
	ULIMIT("nproc", SPEC_RLIMIT_NPROC, ANY_LIMIT, "Processes and threads of the user"),
	ULIMIT("rss", SPEC_RLIMIT_RSS, ANY_LIMIT, "Resident memory; Linux ignores it"),
	ULIMIT("rtprio", SPEC_RLIMIT_RTPRIO, 99, "Highest real-time priority"),
	ULIMIT("rttime", SPEC_RLIMIT_RTTIME, ANY_LIMIT,
	       "Real-time CPU microseconds without a blocking call"),
	ULIMIT("sigpending", SPEC_RLIMIT_SIGPENDING, ANY_LIMIT, "Queued signals of the user"),
	ULIMIT("stack", SPEC_RLIMIT_STACK, ANY_LIMIT, "Stack in bytes"),
	ROW(SVC ".resources", OBJECT, NONE, LIVE, .doc = "What each replica may use"),
	ROW(SVC ".resources.limits", OBJECT, NONE, LIVE,
	    .doc = "Limits of each replica with all its descendants, kept by the kernel's cgroups"),
	ROW(SVC ".resources.limits.memory", SIZE, AT(resources.memory), LIVE,
	    RANGE(MIB, 1024 * TIB), .def_note = "no limit",
	    .doc = "Memory; a replica that needs more is killed"),
	ROW(SVC ".resources.limits.memory_high", SIZE, AT(resources.memory_high), LIVE,
	    RANGE(MIB, 1024 * TIB), .def_note = "no limit", .flags = SCHEMA_PROCESS,
	    .doc = "Memory above which a replica is slowed and its pages are reclaimed"),
	ROW(SVC ".resources.limits.swap", SIZE, AT(resources.swap), LIVE, RANGE(0, 1024 * TIB),
	    .flags = SCHEMA_UNSET, .def_note = "no limit",
	    .doc = "Swap, which does not count as memory; 0 allows none"),
	ROW(SVC ".resources.limits.cpus", NUMBER, AT(resources.cpus), LIVE, RANGE(10, 1024000),
	    .def_note = "no limit",
	    .doc = "Processor time as a number of processors; 0.5 is half of one"),
	ROW(SVC ".resources.limits.cpu_weight", INT, AT(resources.cpu_weight), LIVE,
	    RANGE(1, 10000), .def_note = "100, as everything has",
	    .doc = "Share of processor time when there is not enough for all"),
	ROW(SVC ".resources.limits.io_weight", INT, AT(resources.io_weight), LIVE, RANGE(1, 10000),
	    .def_note = "100, as everything has", .flags = SCHEMA_PROCESS,
	    .doc = "Share of the disks' time when there is not enough for all"),
	ROW(SVC ".resources.limits.pids", INT, AT(resources.pids), LIVE, RANGE(1, 4194304),
	    .def_note = "no limit", .doc = "Processes and threads together"),
	ROW(SVC ".resources.limits.cpuset", STRING, AT(resources.cpuset), LIVE,
	    .check = schema_check_cpuset, .def_note = "all",
	    .doc = "Processors it may run on, as 0-3,8"),
	ROW(SVC ".resources.limits.oom_group", BOOL, AT(resources.oom_group), LIVE, .def = "true",
	    .flags = SCHEMA_PROCESS,
	    .doc = "When memory runs out, is all of the replica killed or only one process?"),
	ROW(SVC ".resources.required", BOOL, AT(resources.required), LIVE, .def = "false",
	    .flags = SCHEMA_PROCESS,
	    .doc = "Is a limit that this machine cannot enforce an error? Else it is a warning"),
	ROW(SVC ".image", STRING, AT(container.image), REPLACE, .flags = SCHEMA_NEEDED,
	    .check = schema_check_image,
	    .def_note = "none: the command is a process of this machine",
	    .doc = "Image of the containers that the replicas then are, as nginx:1.27"),
	ROW(SVC ".runtime", STRING, AT(container.runtime), REPLACE, .def = "docker",
	    .check = schema_check_label, .flags = SCHEMA_CONTAINER,
	    .doc = "Container: who runs it, as the daemon's --runtime names it"),
	ROW(SVC ".pull_policy", ENUM, AT(container.pull_policy), LIVE, .def = "missing",
	    .names = "missing|always|never", .flags = SCHEMA_CONTAINER,
	    .doc = "Container: when the image is fetched before a start"),
	ROW(SVC ".entrypoint", LIST, AT(container.entrypoint), REPLACE, RANGE(1, 4096),
	    .flags = SCHEMA_CONTAINER | SCHEMA_EXPANDED, .def_note = "the image's",
	    .doc = "Container: program and first arguments, before those of command"),
	ROW(SVC ".volumes", TABLE, AT(container.volumes), REPLACE, RANGE(0, 128),
	    .flags = SCHEMA_CONTAINER | SCHEMA_LISTED, .size = sizeof(struct volume_spec),
	    .def_note = "none",
	    .doc = "Container: what is mounted; an entry may be SOURCE:TARGET[:ro]"),
	ROW(SVC ".volumes.*", OBJECT, NONE, REPLACE, .brief = schema_brief_volume,
	    .doc = "One mount"),
	ROW(SVC ".volumes.*.type", ENUM, IN_VOLUME(type), REPLACE, .flags = SCHEMA_REQUIRED,
	    .names = "bind|volume|tmpfs",
	    .doc = "Something of this machine, a volume of the engine, or memory"),
	ROW(SVC ".volumes.*.source", STRING, IN_VOLUME(source), REPLACE, .flags = SCHEMA_EXPANDED,
	    .check = schema_check_given, .def_note = "volume: one that goes with the container",
	    .doc = "Bind: path, relative to the manifest's directory; volume: its name"),
	ROW(SVC ".volumes.*.target", STRING, IN_VOLUME(target), REPLACE, .flags = SCHEMA_REQUIRED,
	    .check = schema_check_target, .doc = "Absolute path in the container"),
	ROW(SVC ".volumes.*.read_only", BOOL, IN_VOLUME(read_only), REPLACE, .def = "false",
	    .doc = "May the container only read it?"),
	ROW(SVC ".volumes.*.size", SIZE, IN_VOLUME(size), REPLACE, RANGE(4 * KIB, 1024 * TIB),
	    .def_note = "half of the machine's memory", .doc = "Tmpfs: how much it may hold"),
	ROW(SVC ".network", STRING, AT(container.network), REPLACE, .def = "bridge",
	    .check = schema_check_network, .flags = SCHEMA_CONTAINER,
	    .doc = "Container: bridge (its ports at 127.0.0.1), host, none, or a network's name"),
	ROW(SVC ".hostname", STRING, AT(container.hostname), REPLACE,
	    .flags = SCHEMA_CONTAINER | SCHEMA_EXPANDED, .check = schema_check_hostname,
	    .def_note = "the container's id", .doc = "Container: the name it gives itself"),
	ROW(SVC ".devices", TABLE, AT(container.devices), REPLACE, RANGE(0, 64),
	    .flags = SCHEMA_CONTAINER | SCHEMA_LISTED, .size = sizeof(struct device_spec),
	    .def_note = "none",
	    .doc = "Container: devices of this machine; an entry may be SOURCE[:TARGET[:rwm]]"),
	ROW(SVC ".devices.*", OBJECT, NONE, REPLACE, .brief = schema_brief_device,
	    .doc = "One device"),
	ROW(SVC ".devices.*.source", STRING, IN_DEVICE(source), REPLACE, .flags = SCHEMA_REQUIRED,
	    .check = schema_check_target, .doc = "Absolute path on this machine"),
	ROW(SVC ".devices.*.target", STRING, IN_DEVICE(target), REPLACE,
	    .check = schema_check_target, .def_note = "as source",
	    .doc = "Absolute path in the container"),
	ROW(SVC ".devices.*.permissions", STRING, IN_DEVICE(permissions), REPLACE, .def = "rwm",
	    .check = schema_check_permissions, .doc = "Some of r (read), w (write), m (mknod)"),
	ROW(SVC ".gpus", OBJECT, AT(container.gpus.enabled), REPLACE,
	    .flags = SCHEMA_CONTAINER | SCHEMA_SHORTHAND | SCHEMA_LONE, .def_note = "none",
	    .doc = "Container: GPUs of each replica: all, a number, or a map"),
	ROW(SVC ".gpus.count", INT, AT(container.gpus.count), REPLACE, RANGE(1, 1024), .def = "all",
	    .flags = SCHEMA_BARE | SCHEMA_ALL, .doc = "So many, or all"),
	ROW(SVC ".gpus.device_ids", LIST, AT(container.gpus.device_ids), REPLACE, RANGE(1, 64),
	    .flags = SCHEMA_ONE_OR_MANY, .check = schema_check_given, .def_note = "any",
	    .doc = "Those: numbers or UUIDs, in place of count"),
	ROW(SVC ".gpus.driver", STRING, AT(container.gpus.driver), REPLACE,
	    .check = schema_check_given, .def_note = "the engine's", .doc = "As nvidia"),
	ROW(SVC ".gpus.capabilities", LIST, AT(container.gpus.capabilities), REPLACE, RANGE(1, 16),
	    .flags = SCHEMA_ONE_OR_MANY, .check = schema_check_given, .def_note = "gpu",
	    .doc = "What the driver must offer, as gpu, compute, utility"),
	ROW(SVC ".gpus.cdi", LIST, AT(container.gpus.cdi), REPLACE, RANGE(1, 64),
	    .flags = SCHEMA_ONE_OR_MANY, .check = schema_check_cdi, .def_note = "none",
	    .doc = "CDI devices as nvidia.com/gpu=0, in place of all else here"),
	ROW(SVC ".shm_size", SIZE, AT(container.shm_size), REPLACE, RANGE(4 * KIB, 1024 * TIB),
	    .def_note = "64MiB", .flags = SCHEMA_CONTAINER,
	    .doc = "Container: how much /dev/shm may hold"),
	ROW(SVC ".init", BOOL, AT(container.init), REPLACE, .def = "false",
	    .flags = SCHEMA_CONTAINER,
	    .doc = "Container: does the engine's init run as process 1, which reaps orphans?"),
	ROW(SVC ".read_only", BOOL, AT(container.read_only), REPLACE, .def = "false",
	    .flags = SCHEMA_CONTAINER, .doc = "Container: is its root read-only?"),
	ROW(SVC ".cap_add", LIST, AT(container.cap_add), REPLACE, RANGE(0, 64),
	    .flags = SCHEMA_CONTAINER | SCHEMA_ONE_OR_MANY, .check = schema_check_capability,
	    .def_note = "none",
	    .doc = "Container: capabilities beyond the engine's default, as SYS_PTRACE"),
	ROW(SVC ".cap_drop", LIST, AT(container.cap_drop), REPLACE, RANGE(0, 64),
	    .flags = SCHEMA_CONTAINER | SCHEMA_ONE_OR_MANY, .check = schema_check_capability,
	    .def_note = "none", .doc = "Container: capabilities that it does not get, as ALL"),
	ROW(SVC ".security_opt", LIST, AT(container.security_opt), REPLACE, RANGE(0, 64),
	    .flags = SCHEMA_CONTAINER | SCHEMA_ONE_OR_MANY, .check = schema_check_security,
	    .def_note = "none",
	    .doc = "Container: as no-new-privileges, seccomp=unconfined, label=disable"),
	ROW(SVC ".group_add", LIST, AT(container.group_add), REPLACE, RANGE(0, 64),
	    .flags = SCHEMA_CONTAINER | SCHEMA_ONE_OR_MANY, .check = schema_check_group,
	    .def_note = "none",
	    .doc = "Container: further groups of its user, by name there or by number"),
	ROW(SVC ".env_file", LIST, AT(env_file), LIVE, RANGE(0, 64), .flags = SCHEMA_ONE_OR_MANY,
	    .check = schema_check_given, .def_note = "none",
	    .doc = "Files of NAME=value lines, read by the client; environment wins"),
	ROW(SVC ".environment", MAP, AT(environment), REPLACE, RANGE(0, 4096),
	    .flags = SCHEMA_EXPANDED | SCHEMA_SECRET, .check = schema_check_variable,
	    .def_note = "empty", .doc = "Environment variables"),
	ROW(SVC ".secrets", TABLE, AT(secrets), REPLACE, RANGE(0, 64),
	    .size = sizeof(struct secret_spec), .check = schema_check_secret_name,
	    .def_note = "none",
	    .doc = "Files for this service only; ${secret:NAME} is the path of one"),
	ROW(SVC ".secrets.*", OBJECT, NONE, REPLACE, .flags = SCHEMA_ONE_OF,
	    .doc = "One secret, read by the client"),
	ROW(SVC ".secrets.*.file", STRING, IN_SECRET(file), LIVE, .flags = SCHEMA_CHOICE,
	    .check = schema_check_given, .def_note = "none", .doc = "File that holds it"),
	ROW(SVC ".secrets.*.env", STRING, IN_SECRET(env), LIVE, .flags = SCHEMA_CHOICE,
	    .check = schema_check_given, .def_note = "none",
	    .doc = "Variable of the client's environment that holds it"),
	ROW(SVC ".secrets.*.digest", INT, IN_SECRET(digest), REPLACE, .flags = SCHEMA_HIDDEN,
	    .def_note = "none", .doc = "What was read"),
	ROW(SVC ".secrets.*.reloaded_digest", INT, IN_SECRET(reloaded_digest), RELOAD,
	    .flags = SCHEMA_HIDDEN, .def_note = "none", .doc = "The same, where a reload reads it"),
	ROW(SVC ".labels", MAP, AT(labels), LIVE, RANGE(0, 1024), .flags = SCHEMA_VERBATIM,
	    .check = schema_check_label_key, .def_note = "none",
	    .doc = "Texts for people and tools, as team: nlp"),
	ROW(SVC ".replicas", OBJECT, NONE, LIVE, .flags = SCHEMA_SHORTHAND,
	    .doc = "How many processes run the command: a number, or a range that follows the load"),
	ROW(SVC ".replicas.count", INT, AT(replicas), LIVE, RANGE(0, MANIFEST_REPLICAS_MAX),
	    .def = "1", .flags = SCHEMA_BARE,
	    .doc = "So many; where there is a range from 1, so many at first"),
	ROW(SVC ".replicas.min", INT, AT(replicas_min), LIVE, RANGE(0, MANIFEST_REPLICAS_MAX),
	    .def = "1", .doc = "The scaler keeps at least so many; 0: none while nobody asks"),
	ROW(SVC ".replicas.max", INT, AT(replicas_max), LIVE, RANGE(1, MANIFEST_REPLICAS_MAX),
	    .def_note = "no range", .doc = "The scaler keeps at most so many"),
	ROW(SVC ".idle", DURATION, AT(idle_ms), LIVE, RANGE(SECOND, 365 * DAY),
	    .def_note = "10m, where replicas.min is 0",
	    .doc = "Without a request for so long the last replica is stopped"),
	ROW(SVC ".hold", DURATION, AT(hold_ms), LIVE, RANGE(SECOND, DAY), .def = "120s",
	    .doc = "How long a request is held while the first replica starts"),
	ROW(SVC ".concurrency", INT, AT(concurrency), LIVE, RANGE(1, 65535),
	    .def_note = "any number",
	    .doc = "Requests that a replica gets at a time at stable ports; more wait in line"),
	ROW(SVC ".queue", OBJECT, NONE, LIVE, .doc = "Requests that wait for a replica"),
	ROW(SVC ".queue.max", INT, AT(queue_max), LIVE, RANGE(0, 65536), .def = "100",
	    .doc = "So many at a port; more are answered 503"),
	ROW(SVC ".queue.timeout", DURATION, AT(queue_timeout_ms), LIVE, RANGE(1, DAY), .def = "30s",
	    .doc = "One that has waited so long is answered 503"),
	ROW(SVC ".affinity", OBJECT, NONE, LIVE, .doc = "Which requests belong together"),
	ROW(SVC ".affinity.header", STRING, AT(affinity_header), LIVE, .flags = SCHEMA_REQUIRED,
	    .check = schema_check_affinity,
	    .doc = "Header field; requests with the same value go to the same replica"),
	ROW(SVC ".retry", ENUM, AT(retry), LIVE, .def = "idempotent",
	    .names = "idempotent|unsafe|never",
	    .doc = "Which requests go to another replica when one breaks without an answer"),
	ROW(SVC ".timeouts", OBJECT, NONE, LIVE, .doc = "At the stable ports"),
	TIMEOUT("connect", connect_ms, .def = "5s", "A replica that does not accept is skipped"),
	TIMEOUT("head", head_ms, .def = "20s", "The head of a request must be there in that time"),
	TIMEOUT("idle", idle_ms, .def = "75s", "A client's connection without a request"),
	TIMEOUT("response", response_ms, .def = "10m",
		"From the end of a request to the first byte of its answer"),
	TIMEOUT("stall", stall_ms, .def = "2m",
		"A client that sends, or takes, no byte of a message is cut"),
	TIMEOUT("total", total_ms, .def_note = "none", "A request with its answer"),
	TIMEOUT("tunnel", tunnel_ms, .def_note = "none",
		"A connection of protocol: tcp, or after an Upgrade, without a byte"),
	ROW(SVC ".access_log", NUMBER, AT(access_log), LIVE, RANGE(0, 1000), .def = "0",
	    .doc = "Share of the requests at stable ports that are logged; 1 = all"),
	ROW(SVC ".port", INT, AT(port), LIVE, RANGE(1, 65535), .def_note = "none",
	    .doc = "The service's stable port: short for ports.http.port"),
	ROW(SVC ".ports", TABLE, AT(ports), REPLACE, RANGE(0, MANIFEST_PORTS_MAX),
	    .size = sizeof(struct port_spec), .check = schema_check_port, .def_note = "none",
	    .doc = "Ports by name; each replica has its own ${PORT_NAME} for every one"),
	ROW(SVC ".ports.*", OBJECT, NONE, REPLACE, .doc = "One port; {} when no key is needed"),
	ROW(SVC ".ports.*.port", INT, IN_PORT(port), LIVE, RANGE(1, 65535),
	    .def_note = "none: only the replicas have one", .doc = "The service's stable port"),
	ROW(SVC ".ports.*.listen", STRING, IN_PORT(listen), LIVE, .def = "127.0.0.1",
	    .check = schema_check_address, .doc = "Numeric address of the stable port"),
	ROW(SVC ".ports.*.mode", ENUM, IN_PORT(mode), REPLACE, .def = "proxy",
	    .names = "proxy|socket",
	    .doc = "Do requests pass through aictl, or do the replicas accept at the stable port?"),
	ROW(SVC ".ports.*.container_port", INT, IN_PORT(container_port), REPLACE, RANGE(1, 65535),
	    .def_note = "the stable port, else the replica's own", .flags = SCHEMA_CONTAINER,
	    .doc = "Container: where it listens inside"),
	ROW(SVC ".ports.*.handed", INT, IN_PORT(handed), REPLACE, .flags = SCHEMA_HIDDEN,
	    .def_note = "none", .doc = "Which socket they get"),
	ROW(SVC ".ports.*.protocol", ENUM, IN_PORT(protocol), LIVE, .def = "http",
	    .names = "http|tcp", .doc = "What is spoken there"),
	ROW(SVC ".probes", OBJECT, NONE, LIVE, .doc = "How health is found out"),
	PROBE("startup", PROBE_STARTUP, "2s", 1,
	      "Has the service come up? The other probes wait until it has passed once"),
	LOG_LINE("startup", PROBE_STARTUP),
	ROW(SVC ".probes.startup.stall", DURATION, AT(probes[PROBE_STARTUP].stall_ms), LIVE,
	    RANGE(SECOND, 7 * DAY), .def = "120s", .flags = SCHEMA_SUFFICES,
	    .doc = "A start that shows no progress (bytes, memory, output) for so long is ended"),
	ROW(SVC ".probes.startup.deadline", DURATION, AT(probes[PROBE_STARTUP].deadline_ms), LIVE,
	    RANGE(SECOND, 30 * DAY), .def_note = "none", .flags = SCHEMA_SUFFICES | SCHEMA_PROCESS,
	    .doc = "A start that takes longer is ended, whatever progress it shows"),
	PROBE("readiness", PROBE_READINESS, "10s", 1000,
	      "Can the replica take requests? Never restarts it"),
	LOG_LINE("readiness", PROBE_READINESS),
	FAILURES("readiness", PROBE_READINESS),
	ROW(SVC ".probes.readiness.notify", BOOL, AT(probes[PROBE_READINESS].notify), REPLACE,
	    .def = "false", .flags = SCHEMA_SUFFICES | SCHEMA_PROCESS,
	    .doc = "The replica must say READY=1 to $NOTIFY_SOCKET, as by systemd-notify"),
	ROW(SVC ".probes.readiness.notify_fd", INT, AT(probes[PROBE_READINESS].notify_fd), REPLACE,
	    RANGE(3, 12), .def_note = "none", .flags = SCHEMA_SUFFICES | SCHEMA_PROCESS,
	    .doc = "The replica must write a line to this descriptor, as s6 wants it"),
	PROBE("liveness", PROBE_LIVENESS, "10s", 1, "Does the replica work? Failing restarts it"),
	ROW(SVC ".probes.liveness.progress", OBJECT, AT(probes[PROBE_LIVENESS].progress), LIVE,
	    .flags = SCHEMA_CHOICE,
	    .doc = "Read metrics; work that waits while a counter stands still is failure"),
	ROW(SVC ".probes.liveness.progress.path", STRING, PROGRESS(path), LIVE, .def = "/metrics",
	    .check = schema_check_url_path, .doc = "Page of metrics, in the format of Prometheus"),
	ROW(SVC ".probes.liveness.progress.host", STRING, PROGRESS(host), LIVE, .def = "127.0.0.1",
	    .check = schema_check_address, .doc = "Numeric address to ask"),
	ROW(SVC ".probes.liveness.progress.port", PORTREF, PROGRESS(port), LIVE, RANGE(1, 65535),
	    .def_note = "the replica's own ${PORT}",
	    .doc = "Port to ask: a number, or a name in ports"),
	ROW(SVC ".probes.liveness.progress.metric", STRING, PROGRESS(metric), LIVE,
	    .flags = SCHEMA_REQUIRED, .check = schema_check_metric,
	    .doc = "Counter that grows while work is done, as tokens_total; summed over its labels"),
	ROW(SVC ".probes.liveness.progress.pending", STRING, PROGRESS(pending), LIVE,
	    .flags = SCHEMA_REQUIRED, .check = schema_check_metric,
	    .doc = "Gauge that is above 0 while work waits, as requests_running"),
	ROW(SVC ".probes.liveness.progress.stall", DURATION, PROGRESS(stall_ms), LIVE,
	    RANGE(100, 7 * DAY), .def = "60s",
	    .doc = "A counter that stands still for so long while work waits is stuck"),
	FAILURES("liveness", PROBE_LIVENESS),
	ROW(SVC ".watchdog", DURATION, AT(watchdog_ms), REPLACE, RANGE(100, DAY),
	    .def_note = "none", .flags = SCHEMA_PROCESS,
	    .doc = "A replica that does not say WATCHDOG=1 so often is restarted"),
	ROW(SVC ".type", ENUM, AT(type), LIVE, .def = "service", .names = "service|task",
	    .doc = "A service runs on; a task comes to an end, and has succeeded or failed"),
	ROW(SVC ".retries", INT, AT(retries), LIVE, RANGE(0, 1000), .def = "0",
	    .doc = "Task: attempts after a failed one, with the waits of restart.backoff"),
	ROW(SVC ".timeout", DURATION, AT(timeout_ms), LIVE, RANGE(SECOND, 365 * DAY),
	    .def_note = "none", .doc = "Task: an attempt that takes longer is stopped, and failed"),
	ROW(SVC ".run_again", ENUM, AT(run_again), LIVE, .def = "on_change",
	    .names = "on_change|always|never",
	    .doc = "Task: does it run again when it changes, at each apply and start, or not at all"),
	ROW(SVC ".schedule", OBJECT, AT(schedule.enabled), LIVE,
	    .flags = SCHEMA_SHORTHAND | SCHEMA_ONE_OF, .def_note = "none: it runs once",
	    .doc = "Task: when it runs; a bare text is cron"),
	ROW(SVC ".schedule.cron", STRING, AT(schedule.cron), LIVE, .flags = SCHEMA_CHOICE,
	    .check = schema_check_given, .def_note = "none",
	    .doc = "Minute, hour, day of month, month, day of week; or @daily and the like"),
	ROW(SVC ".schedule.every", DURATION, AT(schedule.every_ms), LIVE, RANGE(SECOND, 365 * DAY),
	    .flags = SCHEMA_CHOICE, .def_note = "none", .doc = "Time from one run to the next"),
	ROW(SVC ".schedule.timezone", STRING, AT(schedule.timezone), LIVE,
	    .check = schema_check_zone, .def_note = "the machine's",
	    .doc = "Time zone of cron, such as Europe/Vienna"),
	ROW(SVC ".schedule.missed", ENUM, AT(schedule.missed), LIVE, .def = "skip",
	    .names = "skip|run", .doc = "A run whose time passed while the daemon was down"),
	ROW(SVC ".depends_on", TABLE, AT(depends_on), LIVE, RANGE(0, 64), .flags = SCHEMA_NAMES,
	    .size = sizeof(struct depend_spec), .check = schema_check_service_name,
	    .def_note = "none",
	    .doc = "Services that must be there before this one starts; a list of names is enough"),
	ROW(SVC ".depends_on.*", OBJECT, NONE, LIVE,
	    .doc = "One dependency; {} when no key is needed"),
	ROW(SVC ".depends_on.*.condition", ENUM, IN_DEPEND(condition), LIVE, .def = "started",
	    .names = "started|ready|completed",
	    .doc = "What it must be: started, ready, or a task that has succeeded"),
	ROW(SVC ".depends_on.*.required", BOOL, IN_DEPEND(required), LIVE, .def = "true",
	    .doc = "Must it exist, and does a wait that is over fail the start? Else it goes on"),
	ROW(SVC ".depends_on.*.timeout", DURATION, IN_DEPEND(timeout_ms), LIVE, RANGE(0, 7 * DAY),
	    .def_note = "none: it waits", .doc = "How long a start waits for it"),
	ROW(SVC ".on_dependency_restart", ENUM, AT(on_dependency_restart), LIVE, .def = "ignore",
	    .names = "ignore|restart|reload",
	    .doc = "What happens here when a dependency's process has been replaced"),
	ROW(SVC ".warmup", TABLE, AT(warmup), LIVE, RANGE(0, 32), .flags = SCHEMA_LISTED,
	    .size = sizeof(struct warmup_spec), .def_note = "none",
	    .doc = "Requests that must succeed, in order, after the startup probe and before ready"),
	ROW(SVC ".warmup.*", OBJECT, NONE, LIVE, .doc = "One request, tried again each 2 s"),
	ROW(SVC ".warmup.*.http", OBJECT, IN_WARMUP(http), LIVE, .flags = SCHEMA_REQUIRED,
	    .doc = "Ask this; 200 to 399 is success"),
	REQUEST(SVC ".warmup.*.http", IN_WARMUP(request)),
	ROW(SVC ".warmup.*.timeout", DURATION, IN_WARMUP(timeout_ms), LIVE, RANGE(10, DAY),
	    .def = "60s", .doc = "An attempt that takes longer failed"),
	ROW(SVC ".restart", OBJECT, NONE, LIVE, .flags = SCHEMA_SHORTHAND,
	    .doc = "What happens after an exit; a bare word is the policy"),
	ROW(SVC ".restart.policy", ENUM, AT(restart.policy), LIVE, .def = "always",
	    .names = "always|on-failure|never", .flags = SCHEMA_BARE_NO,
	    .doc = "After which exits the command is started again"),
	ROW(SVC ".restart.success_exit_codes", INTS, AT(restart.success_exit_codes), LIVE,
	    RANGE(0, 255), .flags = SCHEMA_ONE_OR_MANY, .def = "0",
	    .doc = "Exit codes that are no failure"),
	ROW(SVC ".restart.rules", TABLE, AT(restart.rules), LIVE, RANGE(0, 64),
	    .flags = SCHEMA_LISTED, .size = sizeof(struct restart_rule), .def_note = "none",
	    .doc = "What certain exit codes mean; the first rule that names one decides"),
	ROW(SVC ".restart.rules.*", OBJECT, NONE, LIVE, .doc = "One rule"),
	ROW(SVC ".restart.rules.*.exit", INTS, IN_RULE(exit), LIVE, RANGE(0, 255),
	    .flags = SCHEMA_REQUIRED | SCHEMA_ONE_OR_MANY, .doc = "Exit codes"),
	ROW(SVC ".restart.rules.*.then", ENUM, IN_RULE(then), LIVE, .names = "restart|fail|succeed",
	    .flags = SCHEMA_REQUIRED, .doc = "Start again, give up, or be done"),
	ROW(SVC ".restart.backoff", OBJECT, NONE, LIVE, .doc = "The wait between attempts"),
	ROW(SVC ".restart.backoff.initial", DURATION, AT(restart.backoff_initial_ms), LIVE,
	    RANGE(0, DAY), .def = "1s", .doc = "First wait; 0 restarts always at once"),
	ROW(SVC ".restart.backoff.factor", NUMBER, AT(restart.backoff_factor), LIVE,
	    RANGE(1000, 100000), .def = "2", .doc = "Each wait is that much longer than the last"),
	ROW(SVC ".restart.backoff.max", DURATION, AT(restart.backoff_max_ms), LIVE, RANGE(0, DAY),
	    .def = "60s", .doc = "Longest wait"),
	ROW(SVC ".restart.backoff.jitter", NUMBER, AT(restart.backoff_jitter), LIVE, RANGE(0, 1000),
	    .def = "0.2", .doc = "Random share of the wait, up and down"),
	ROW(SVC ".restart.budget", OBJECT, NONE, LIVE, .doc = "When restarting is hopeless"),
	ROW(SVC ".restart.budget.restarts", INT, AT(restart.budget_restarts), LIVE,
	    RANGE(0, 100000), .def = "10", .doc = "Restarts allowed in the window; 0 = any number"),
	ROW(SVC ".restart.budget.window", DURATION, AT(restart.budget_window_ms), LIVE,
	    RANGE(SECOND, 7 * DAY), .def = "10m", .doc = "Window in which restarts are counted"),
	ROW(SVC ".restart.budget.then", ENUM, AT(restart.budget_then), LIVE, .def = "slow",
	    .names = "slow|fail", .doc = "Then: try every 5 minutes, or give up"),
	ROW(SVC ".restart.max_age", DURATION, AT(restart.max_age_ms), LIVE,
	    RANGE(SECOND, 365 * DAY), .def_note = "any age",
	    .doc = "An older replica is replaced, as in an update"),
	ROW(SVC ".restart.max_age_variance", NUMBER, AT(restart.max_age_variance), LIVE,
	    RANGE(0, 1000), .def = "0.1", .doc = "Random share of max_age, up and down"),
	ROW(SVC ".restart.max_memory", SIZE, AT(restart.max_memory), LIVE, RANGE(MIB, 1024 * TIB),
	    .def_note = "any",
	    .doc = "A replica that uses more is replaced, as in an update, before it fails"),
	ROW(SVC ".update", OBJECT, NONE, LIVE,
	    .doc = "How replicas are replaced when the manifest changes, or on a restart"),
	ROW(SVC ".update.strategy", ENUM, AT(update.strategy), LIVE, .def = "rolling",
	    .names = "rolling|canary",
	    .doc = "One after the other, or with a growing share of the requests, and judged"),
	ROW(SVC ".update.steps", LIST, AT(update.steps), LIVE, RANGE(1, 32),
	    .check = schema_check_step, .def_note = "[5%/2m, 25%/5m, 100%]",
	    .doc = "Canary: share of the requests, and for how long"),
	ROW(SVC ".update.judge", OBJECT, NONE, LIVE,
	    .doc = "Canary: when it is worse than the stable revision at the same time"),
	ROW(SVC ".update.judge.error_rate", NUMBER, AT(update.judge.error_rate), LIVE,
	    RANGE(0, 1000), .def = "0.01",
	    .doc = "Share of failed requests above the stable revision's: 0.01 is one in a hundred"),
	ROW(SVC ".update.judge.p95", NUMBER, AT(update.judge.p95), LIVE, RANGE(1000, 1000000),
	    .def = "1.5",
	    .doc = "Its latency, 95th percentile, is so many times that of the stable one"),
	ROW(SVC ".update.judge.min_requests", INT, AT(update.judge.min_requests), LIVE,
	    RANGE(1, 1000000000), .def = "50",
	    .doc = "Requests of each revision before the canary is judged"),
	ROW(SVC ".update.order", ENUM, AT(update.order), LIVE, .def = "start-first",
	    .names = "start-first|stop-first",
	    .doc = "Is the new replica started before or after the old one is stopped?"),
	ROW(SVC ".update.max_surge", SHARE, AT(update.max_surge), LIVE,
	    RANGE(0, MANIFEST_REPLICAS_MAX), .def = "1",
	    .doc = "Replicas beyond those wanted while it starts first, or a share of them"),
	ROW(SVC ".update.max_unavailable", SHARE, AT(update.max_unavailable), LIVE,
	    RANGE(0, MANIFEST_REPLICAS_MAX), .def = "0",
	    .doc = "Replicas that may be missing meanwhile, or a share; stop-first: at least 1"),
	ROW(SVC ".update.min_ready", DURATION, AT(update.min_ready_ms), LIVE, RANGE(0, DAY),
	    .def = "10s", .doc = "A new replica must have been ready that long to count"),
	ROW(SVC ".update.deadline", DURATION, AT(update.deadline_ms), LIVE, RANGE(SECOND, 7 * DAY),
	    .def = "10m", .doc = "An update without progress for that long has failed"),
	ROW(SVC ".update.pause_after", INT, AT(update.pause_after), LIVE,
	    RANGE(0, MANIFEST_REPLICAS_MAX), .def = "0",
	    .doc = "Pause after so many new replicas, for a look at them; 0 = do not"),
	ROW(SVC ".update.on_failure", ENUM, AT(update.on_failure), LIVE, .def = "rollback",
	    .names = "rollback|pause|continue",
	    .doc = "When it has failed: return to the last good revision, wait, or go on"),
	ROW(SVC ".autoscale", OBJECT, AT(autoscale.enabled), LIVE, .flags = SCHEMA_ONE_OF,
	    .def_note = "concurrency, where replicas has a range",
	    .doc = "How the number of replicas follows the load, in the range of replicas"),
	METRIC(SVC ".autoscale", AT(autoscale.metric), SCHEMA_CHOICE),
	ROW(SVC ".autoscale.metrics", TABLE, AT(autoscale.metrics), LIVE, RANGE(1, 8),
	    .flags = SCHEMA_LISTED | SCHEMA_CHOICE, .size = sizeof(struct autoscale_metric),
	    .def_note = "none", .doc = "Several metrics; the one that wants most decides"),
	ROW(SVC ".autoscale.metrics.*", OBJECT, NONE, LIVE, .doc = "One metric"),
	METRIC(SVC ".autoscale.metrics.*", 0, SCHEMA_REQUIRED),
	ROW(SVC ".autoscale.window", DURATION, AT(autoscale.window_ms), LIVE,
	    RANGE(6 * SECOND, HOUR), .def = "60s",
	    .doc = "Concurrency, rps: their mean over that time decides"),
	ROW(SVC ".autoscale.panic_window", DURATION, AT(autoscale.panic_window_ms), LIVE,
	    RANGE(SECOND, HOUR), .def = "6s",
	    .doc = "Concurrency, rps: the mean over that time, for sudden load"),
	ROW(SVC ".autoscale.panic_threshold", NUMBER, AT(autoscale.panic_threshold), LIVE,
	    RANGE(1100, 100000), .def = "2",
	    .doc = "Sudden load: panic_window wants so many times what is ready"),
	ROW(SVC ".autoscale.scale_down_delay", DURATION, AT(autoscale.scale_down_delay_ms), LIVE,
	    RANGE(0, DAY), .def = "0s",
	    .doc = "Concurrency, rps: less only when less was wanted for so long"),
	ROW(SVC ".autoscale.max_up_rate", NUMBER, AT(autoscale.max_up_rate), LIVE,
	    RANGE(1100, 10000000), .def = "1000",
	    .doc = "One decision wants at most so many times what is ready"),
	ROW(SVC ".autoscale.max_down_rate", NUMBER, AT(autoscale.max_down_rate), LIVE,
	    RANGE(1100, 10000000), .def = "2",
	    .doc = "One decision wants at least what is ready divided by that"),
	ROW(SVC ".autoscale.tolerance", NUMBER, AT(autoscale.tolerance), LIVE, RANGE(0, 1000),
	    .def = "0.1", .doc = "Cpu, memory, prometheus: no change while so near to the target"),
	ROW(SVC ".autoscale.stabilization", DURATION, AT(autoscale.stabilization_ms), LIVE,
	    RANGE(0, HOUR), .def = "5m",
	    .doc = "Cpu, memory, prometheus: less only when less was wanted for so long"),
	ROW(SVC ".autoscale.schedule", TABLE, AT(autoscale.schedule), LIVE, RANGE(0, 32),
	    .flags = SCHEMA_LISTED, .size = sizeof(struct autoscale_window), .def_note = "none",
	    .doc = "Other bounds at certain times"),
	ROW(SVC ".autoscale.schedule.*", OBJECT, NONE, LIVE, .doc = "Bounds that hold for a while"),
	ROW(SVC ".autoscale.schedule.*.cron", STRING, IN_WINDOW(cron), LIVE,
	    .flags = SCHEMA_REQUIRED, .check = schema_check_given,
	    .doc = "When they begin: minute, hour, day of month, month, day of week"),
	ROW(SVC ".autoscale.schedule.*.for", DURATION, IN_WINDOW(for_ms), LIVE,
	    RANGE(60 * SECOND, 31 * DAY), .flags = SCHEMA_REQUIRED, .doc = "How long they hold"),
	ROW(SVC ".autoscale.schedule.*.min", INT, IN_WINDOW(min), LIVE,
	    RANGE(0, MANIFEST_REPLICAS_MAX), .flags = SCHEMA_UNSET, .def_note = "replicas.min",
	    .doc = "At least so many"),
	ROW(SVC ".autoscale.schedule.*.max", INT, IN_WINDOW(max), LIVE,
	    RANGE(0, MANIFEST_REPLICAS_MAX), .flags = SCHEMA_UNSET, .def_note = "replicas.max",
	    .doc = "At most so many"),
	ROW(SVC ".autoscale.schedule.*.timezone", STRING, IN_WINDOW(timezone), LIVE,
	    .check = schema_check_zone, .def_note = "the machine's",
	    .doc = "Time zone of cron, such as Europe/Vienna"),
	ROW(SVC ".stop", OBJECT, NONE, LIVE, .doc = "How a replica is stopped"),
	ROW(SVC ".stop.signal", SIGNAL, AT(stop_signal), LIVE, .def = "SIGTERM",
	    .doc = "Signal that asks the command to end"),
	ROW(SVC ".stop.grace_period", DURATION, AT(grace_period_ms), LIVE, RANGE(0, DAY),
	    .def = "30s", .doc = "What still runs after that is killed"),
	ROW(SVC ".stop.drain", DURATION, AT(drain_ms), LIVE, RANGE(0, DAY), .def = "30s",
	    .doc = "How long requests under way at the stable port may take before the signal"),
	ROW(SVC ".reload", OBJECT, AT(reload.enabled), LIVE, .flags = SCHEMA_ONE_OF,
	    .def_note = "none",
	    .doc = "How the command reads its files again: for aictl reload and changed secrets"),
	ROW(SVC ".reload.signal", SIGNAL, AT(reload.signal), LIVE, .flags = SCHEMA_CHOICE,
	    .def_note = "none", .doc = "Signal to the main process"),
	ROW(SVC ".reload.http", OBJECT, AT(reload.http), LIVE, .flags = SCHEMA_CHOICE,
	    .doc = "Ask this; 200 to 399 is success"),
	REQUEST(SVC ".reload.http", AT(reload.request)),
	ROW(SVC ".reload.timeout", DURATION, AT(reload.timeout_ms), LIVE, RANGE(100, DAY),
	    .def = "10s", .doc = "A request that takes longer has failed"),
	ROW(SVC ".hooks", OBJECT, NONE, LIVE,
	    .doc = "What is done around starts and stops: steps, one after the other"),
	HOOK("pre_start", HOOK_PRE_START,
	     "Before each start; a failure is one of the start, and the command does not run"),
	HOOK("post_start", HOOK_POST_START,
	     "Beside the new process, which is not ready before; a failure restarts it"),
	HOOK("pre_stop", HOOK_PRE_STOP,
	     "Before the stop signal, inside stop.grace_period; not after a crash"),
	HOOK("post_stop", HOOK_POST_STOP,
	     "When no process is left, also after a crash; the next start waits for it"),
	ROW(SVC ".logs", OBJECT, NONE, LIVE, .doc = "What is kept of the output"),
	ROW(SVC ".logs.max_size", SIZE, AT(log_max_size), LIVE, RANGE(64 * KIB, TIB),
	    .def = "20MiB", .doc = "Size at which a log file is closed and the next begun"),
	ROW(SVC ".logs.max_files", INT, AT(log_max_files), LIVE, RANGE(1, 1000), .def = "5",
	    .doc = "Log files kept of each replica: so many times max_size"),
	ROW(SVC ".logs.max_age", DURATION, AT(log_max_age_ms), LIVE, RANGE(SECOND, 3650 * DAY),
	    .def_note = "none",
	    .doc = "A closed file to which nothing was written for so long goes"),
	ROW(SVC ".logs.max_total", SIZE, AT(log_max_total), LIVE, RANGE(MIB, 1024 * TIB),
	    .def_note = "none", .doc = "What is kept of all replicas, also of former ones"),
	ROW(SVC ".logs.rotate_every", DURATION, AT(log_rotate_ms), LIVE, RANGE(SECOND, 3650 * DAY),
	    .def_note = "none",
	    .doc = "Age at which a log file is closed, and the next begun with the next line"),
	ROW(SVC ".logs.compress", ENUM, AT(log_compress), LIVE, .def = "none", .names = "none|zstd",
	    .doc = "What is done with closed files, while nobody else needs the processor"),
	ROW(SVC ".logs.on_full", ENUM, AT(log_on_full), LIVE, .def = "block", .names = "block|drop",
	    .doc = "A disk that takes nothing: the writer waits, or its oldest lines are dropped"),
	ROW(SVC ".logs.to", LIST, AT(log_to), LIVE, RANGE(1, 2), .flags = SCHEMA_ONE_OR_MANY,
	    .check = schema_check_log_target, .def_note = "file",
	    .doc = "Where lines go: file, always, and journald besides, from the files"),
};

const struct schema_row *schema_table_rows(size_t *n)
{
	*n = ARRAY_SIZE(rows);
	return rows;
}
