/*
 * service_spec_diff and _hash: every key of the table changes the class that the contract says, is
 * named as the manifest names it, and nothing else is named. A key without a case here fails the
 * last test.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/buf.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/schema.h"
#include "tests/unit/manifest_case.h"

#define IMAGE "    image: nginx\n"

static const struct {
	const char *a, *b; /* lines of a service that has a command and port 1000 */
	enum change_class change;
	const char *keys;
} cases[] = {
	{"", "", CHANGE_NONE, ""},
	{"", "    description: \"\"\n", CHANGE_NONE, ""},
	{"", "    replicas: 1\n", CHANGE_NONE, ""},
	{"", "    working_dir: /srv/app\n", CHANGE_NONE, ""},
	{"", "    environment: {}\n", CHANGE_NONE, ""},
	{"", "    restart: always\n", CHANGE_NONE, ""},
	{"    restart: never\n", "    restart: { policy: \"no\" }\n", CHANGE_NONE, ""},
	{"    stop: { signal: INT }\n", "    stop: { signal: 2 }\n", CHANGE_NONE, ""},
	{"    stop: { grace_period: 90s }\n", "    stop: { grace_period: 1m30s }\n", CHANGE_NONE,
	 ""},
	{"    environment: { A: x, B: y }\n", "    environment: { B: y, A: \"x\" }\n", CHANGE_NONE,
	 ""},
	{"", "    description: x\n", CHANGE_LIVE, "description"},
	{"", "    restart: { max_age: 1h }\n", CHANGE_LIVE, "restart.max_age"},
	{"", "    update: { order: start-first, max_surge: 1 }\n", CHANGE_NONE, ""},
	{"", "    update: { order: stop-first }\n", CHANGE_LIVE, "update.order"},
	{"", "    update: { max_surge: 25% }\n", CHANGE_LIVE, "update.max_surge"},
	{"", "    update: { max_unavailable: 1 }\n", CHANGE_LIVE, "update.max_unavailable"},
	{"", "    update: { min_ready: 1s }\n", CHANGE_LIVE, "update.min_ready"},
	{"", "    update: { deadline: 1m }\n", CHANGE_LIVE, "update.deadline"},
	{"", "    update: { pause_after: 1 }\n", CHANGE_LIVE, "update.pause_after"},
	{"", "    update: { on_failure: pause }\n", CHANGE_LIVE, "update.on_failure"},
	{"", "    restart: { max_age_variance: 0.2 }\n", CHANGE_LIVE, "restart.max_age_variance"},
	{"", "    restart: { max_memory: 1GiB }\n", CHANGE_LIVE, "restart.max_memory"},
	{"    depends_on: [a]\n", "    depends_on: { a: { condition: started } }\n", CHANGE_NONE,
	 ""},
	{"    depends_on: [a]\n", "    depends_on: [b]\n", CHANGE_LIVE,
	 "depends_on.a, depends_on.b"},
	{"    depends_on: [a]\n", "    depends_on: { a: { condition: ready } }\n", CHANGE_LIVE,
	 "depends_on.a.condition"},
	{"", "    on_dependency_restart: restart\n", CHANGE_LIVE, "on_dependency_restart"},
	{"", "    working_dir: sub\n", CHANGE_REPLACE, "working_dir"},
	{"", "    user: bob\n", CHANGE_REPLACE, "user"},
	{"", "    image: nginx\n", CHANGE_REPLACE, "working_dir, image, ports.http.container_port"},
	{"    image: nginx\n", "    image: nginx:2\n", CHANGE_REPLACE, "image"},
	{IMAGE, IMAGE "    runtime: docker\n    network: bridge\n    volumes: []\n", CHANGE_NONE,
	 ""},
	{IMAGE, IMAGE "    runtime: podman\n", CHANGE_REPLACE, "runtime"},
	{IMAGE, IMAGE "    pull_policy: always\n", CHANGE_LIVE, "pull_policy"},
	{IMAGE, IMAGE "    entrypoint: [x]\n", CHANGE_REPLACE, "entrypoint"},
	{IMAGE, IMAGE "    network: web-net\n", CHANGE_REPLACE, "network"},
	{IMAGE, IMAGE "    hostname: x\n", CHANGE_REPLACE, "hostname"},
	{IMAGE, IMAGE "    shm_size: 1GiB\n", CHANGE_REPLACE, "shm_size"},
	{IMAGE, IMAGE "    init: true\n", CHANGE_REPLACE, "init"},
	{IMAGE, IMAGE "    read_only: true\n", CHANGE_REPLACE, "read_only"},
	{IMAGE, IMAGE "    cap_add: ALL\n", CHANGE_REPLACE, "cap_add"},
	{IMAGE, IMAGE "    cap_drop: [ALL]\n", CHANGE_REPLACE, "cap_drop"},
	{IMAGE, IMAGE "    security_opt: [no-new-privileges]\n", CHANGE_REPLACE, "security_opt"},
	{IMAGE, IMAGE "    group_add: [video]\n", CHANGE_REPLACE, "group_add"},
	{IMAGE "    volumes: [\"./a:/b:ro\"]\n",
	 IMAGE "    volumes: [{ type: bind, source: /srv/app/a, target: /b, read_only: true }]\n",
	 CHANGE_NONE, ""},
	{IMAGE, IMAGE "    volumes: [\"./a:/b\"]\n", CHANGE_REPLACE, "volumes"},
	{IMAGE "    devices: [/dev/kvm]\n",
	 IMAGE "    devices: [{ source: /dev/kvm, permissions: rwm }]\n", CHANGE_NONE, ""},
	{IMAGE, IMAGE "    devices: [/dev/kvm]\n", CHANGE_REPLACE, "devices"},
	{IMAGE "    gpus: all\n", IMAGE "    gpus: [{ count: all }]\n", CHANGE_NONE, ""},
	{IMAGE, IMAGE "    gpus: {}\n", CHANGE_REPLACE, "gpus"},
	{IMAGE "    gpus: all\n", IMAGE "    gpus: 1\n", CHANGE_REPLACE, "gpus"},
	{IMAGE "    gpus: all\n", IMAGE "    gpus: { driver: x }\n", CHANGE_REPLACE, "gpus.driver"},
	{IMAGE "    gpus: all\n", IMAGE "    gpus: { device_ids: \"0\" }\n", CHANGE_REPLACE,
	 "gpus.device_ids"},
	{IMAGE "    gpus: all\n", IMAGE "    gpus: { capabilities: gpu }\n", CHANGE_REPLACE,
	 "gpus.capabilities"},
	{IMAGE "    gpus: all\n", IMAGE "    gpus: { cdi: a/b=0 }\n", CHANGE_REPLACE, "gpus.cdi"},
	/* those of processes are live */
	{IMAGE, IMAGE "    resources: { limits: { pids: 9 } }\n", CHANGE_REPLACE,
	 "resources.limits.pids"},
	{"    user: ann\n", "    user: bob\n", CHANGE_REPLACE, "user"},
	{"", "    group: staff\n", CHANGE_REPLACE, "group"},
	{"", "    umask: 022\n", CHANGE_NONE, ""},
	{"", "    umask: 077\n", CHANGE_REPLACE, "umask"},
	{"", "    nice: 0\n", CHANGE_NONE, ""},
	{"", "    nice: -1\n", CHANGE_REPLACE, "nice"},
	{"", "    oom_score: 0\n", CHANGE_REPLACE, "oom_score"},
	{"    oom_score: 0\n", "    oom_score: 1\n", CHANGE_REPLACE, "oom_score"},
	{"    ulimits: { core: 0 }\n", "    ulimits: { core: { soft: 0, hard: 0 } }\n", CHANGE_NONE,
	 ""},
	{"    ulimits: { core: 0 }\n", "    ulimits: { core: \"0:1\" }\n", CHANGE_REPLACE,
	 "ulimits.core"},
	{"    ulimits: { core: 0, stack: 1 }\n", "    ulimits: { core: unlimited }\n",
	 CHANGE_REPLACE, "ulimits.core, ulimits.stack"},
	{"", "    resources: { required: false, limits: { oom_group: true } }\n", CHANGE_NONE, ""},
	{"", "    resources: { required: true }\n", CHANGE_LIVE, "resources.required"},
	{"", "    resources: { limits: { memory: 1GiB } }\n", CHANGE_LIVE,
	 "resources.limits.memory"},
	{"    resources: { limits: { memory: 1GiB } }\n",
	 "    resources: { limits: { memory: 1024MiB, memory_high: 512MiB } }\n", CHANGE_LIVE,
	 "resources.limits.memory_high"},
	{"", "    resources: { limits: { swap: 0 } }\n", CHANGE_LIVE, "resources.limits.swap"},
	{"    resources: { limits: { cpus: 1 } }\n", "    resources: { limits: { cpus: 0.5 } }\n",
	 CHANGE_LIVE, "resources.limits.cpus"},
	{"    resources: { limits: { cpus: 2 } }\n", "    resources: { limits: { cpus: 2.0 } }\n",
	 CHANGE_NONE, ""},
	{"", "    resources: { limits: { cpu_weight: 50, io_weight: 60 } }\n", CHANGE_LIVE,
	 "resources.limits.cpu_weight, resources.limits.io_weight"},
	{"", "    resources: { limits: { pids: 5, cpuset: \"0-3\" } }\n", CHANGE_LIVE,
	 "resources.limits.pids, resources.limits.cpuset"},
	{"    resources: { limits: { cpuset: 0 } }\n", "    resources: { limits: { cpuset: 1 } }\n",
	 CHANGE_LIVE, "resources.limits.cpuset"},
	{"", "    resources: { limits: { oom_group: false } }\n", CHANGE_LIVE,
	 "resources.limits.oom_group"},
	{"    labels: { b: x, a/c: y }\n", "    labels: { a/c: y, b: x }\n", CHANGE_NONE, ""},
	{"", "    labels: { a/c: y }\n", CHANGE_LIVE, "labels.a/c"},
	{"    secrets: { t: { file: a }, u: { env: B } }\n",
	 "    secrets: { u: { env: B }, t: { file: a } }\n", CHANGE_NONE, ""},
	{"    secrets: { t: { file: a } }\n", "    secrets: { t: { file: b } }\n", CHANGE_LIVE,
	 "secrets.t.file"},
	{"    secrets: { t: { file: a } }\n", "    secrets: { t: { env: A } }\n", CHANGE_LIVE,
	 "secrets.t.file, secrets.t.env"},
	{"", "    secrets: { t: { file: a } }\n", CHANGE_REPLACE, "secrets.t"},
	{"    ports: { m: {} }\n", "    ports: { m: { listen: 127.0.0.1, protocol: http } }\n",
	 CHANGE_NONE, ""},
	{"", "    ports: { m: {} }\n", CHANGE_REPLACE, "ports.m"},
	{"    ports: { a: {}, c: {} }\n", "    ports: { b: {}, c: { port: 5 } }\n", CHANGE_REPLACE,
	 "ports.a, ports.b, ports.c.port"},
	{"    ports: { m: { port: 5 } }\n", "    ports: { m: { port: 6 } }\n", CHANGE_LIVE,
	 "ports.m.port"},
	{"    ports: { m: {} }\n", "    ports: { m: { listen: \"::1\" } }\n", CHANGE_LIVE,
	 "ports.m.listen"},
	{"    ports: { m: {} }\n", "    ports: { m: { protocol: tcp } }\n", CHANGE_LIVE,
	 "ports.m.protocol"},
	{"", "    restart: { success_exit_codes: 0 }\n", CHANGE_NONE, ""},
	{"", "    restart: { success_exit_codes: [0, 3] }\n", CHANGE_LIVE,
	 "restart.success_exit_codes"},
	{"", "    restart: { rules: [] }\n", CHANGE_NONE, ""},
	{"    restart: { rules: [{ exit: [1], then: fail }] }\n",
	 "    restart: { rules: [{ exit: 1, then: fail }] }\n", CHANGE_NONE, ""},
	{"", "    restart: { rules: [{ exit: [1], then: fail }] }\n", CHANGE_LIVE, "restart.rules"},
	{"    restart: { rules: [{ exit: [1], then: fail }] }\n",
	 "    restart: { rules: [{ exit: [1], then: succeed }] }\n", CHANGE_LIVE, "restart.rules"},
	{"    restart: { rules: [{ exit: [1], then: fail }] }\n",
	 "    restart: { rules: [{ exit: [1, 2], then: fail }] }\n", CHANGE_LIVE, "restart.rules"},
	{"", "    reload: { signal: SIGHUP }\n", CHANGE_LIVE, "reload"},
	{"    reload: { http: {} }\n", "    reload: { http: { path: /x } }\n", CHANGE_LIVE,
	 "reload.http.path"},
	{"    reload: { http: {} }\n", "    reload: { http: { host: \"::1\" } }\n", CHANGE_LIVE,
	 "reload.http.host"},
	{"    reload: { http: {} }\n", "    reload: { http: { port: 9 } }\n", CHANGE_LIVE,
	 "reload.http.port"},
	{"    reload: { http: {} }\n", "    reload: { http: { method: POST } }\n", CHANGE_LIVE,
	 "reload.http.method"},
	{"    reload: { http: {} }\n", "    reload: { http: { headers: { A: b } } }\n", CHANGE_LIVE,
	 "reload.http.headers.A"},
	{"    reload: { http: {} }\n", "    reload: { http: { expect: { status: 200 } } }\n",
	 CHANGE_LIVE, "reload.http.expect.status"},
	{"    reload: { http: {} }\n", "    reload: { http: { expect: { json: { a: b } } } }\n",
	 CHANGE_LIVE, "reload.http.expect.json"},
	{"    reload: { http: {} }\n", "    reload: { http: { max_latency: 1s } }\n", CHANGE_LIVE,
	 "reload.http.max_latency"},
	{"    reload: { http: { method: PUT } }\n",
	 "    reload: { http: { method: PUT, body: x } }\n", CHANGE_LIVE, "reload.http.body"},
	{"    reload: { signal: SIGHUP }\n", "    reload: { http: {} }\n", CHANGE_LIVE,
	 "reload.signal, reload.http"},
	{"    reload: { signal: SIGHUP }\n", "    reload: { signal: SIGHUP, timeout: 9s }\n",
	 CHANGE_LIVE, "reload.timeout"},
	{"    reload: { signal: SIGHUP }\n", "    reload: { signal: SIGUSR1 }\n", CHANGE_LIVE,
	 "reload.signal"},
	{"    hooks: { pre_start: [{ exec: { command: [a] } }] }\n",
	 "    hooks: { pre_start: [{ exec: { command: [a] }, timeout: 30s }] }\n", CHANGE_NONE, ""},
	{"    hooks: { pre_start: [{ exec: { command: [a] } }] }\n",
	 "    hooks: { pre_start: [{ exec: { command: [b] } }] }\n", CHANGE_LIVE,
	 "hooks.pre_start"},
	{"", "    hooks: { post_start: [{ http: { path: / } }] }\n", CHANGE_LIVE,
	 "hooks.post_start"},
	{"    hooks: { pre_stop: [{ http: { path: / } }] }\n",
	 "    hooks: { pre_stop: [{ http: { path: /x } }] }\n", CHANGE_LIVE, "hooks.pre_stop"},
	{"    hooks: { post_stop: [{ exec: { command: [a] } }] }\n",
	 "    hooks: { post_stop: [{ exec: { command: [a] }, on_failure: ignore }] }\n",
	 CHANGE_LIVE, "hooks.post_stop"},
	{"", "    stop: { drain: 31s }\n", CHANGE_LIVE, "stop.drain"},
	{"", "    replicas: 2\n", CHANGE_LIVE, "replicas"},
	{"    replicas: 2\n", "    replicas: { count: 2 }\n", CHANGE_NONE, ""},
	{"", "    replicas: { max: 4 }\n", CHANGE_LIVE, "replicas.max"},
	{"    replicas: { max: 4 }\n", "    replicas: { min: 0, max: 4 }\n", CHANGE_LIVE,
	 "replicas.min"},
	{"", "    autoscale: { metric: cpu }\n", CHANGE_LIVE, "autoscale"},
	{"    autoscale: { metric: cpu }\n", "    autoscale: { metric: rps }\n", CHANGE_LIVE,
	 "autoscale.metric"},
	{"    autoscale: { metric: cpu }\n", "    autoscale: { metric: cpu, target: 50 }\n",
	 CHANGE_LIVE, "autoscale.target"},
	{"    autoscale: { metric: prometheus, name: m, target: 7 }\n",
	 "    autoscale: { metric: prometheus, name: n, target: 7 }\n", CHANGE_LIVE,
	 "autoscale.name"},
	{"    autoscale: { metric: prometheus, name: m, target: 7 }\n",
	 "    autoscale: { metric: prometheus, name: m, target: 7, path: /x }\n", CHANGE_LIVE,
	 "autoscale.path"},
	{"    autoscale: { metric: prometheus, name: m, target: 7 }\n",
	 "    autoscale: { metric: prometheus, name: m, target: 7, port: 9 }\n", CHANGE_LIVE,
	 "autoscale.port"},
	{"    autoscale: { metric: cpu }\n", "    autoscale: { metric: cpu, window: 2m }\n",
	 CHANGE_LIVE, "autoscale.window"},
	{"    autoscale: { metric: cpu }\n", "    autoscale: { metric: cpu, panic_window: 7s }\n",
	 CHANGE_LIVE, "autoscale.panic_window"},
	{"    autoscale: { metric: cpu }\n", "    autoscale: { metric: cpu, panic_threshold: 3 }\n",
	 CHANGE_LIVE, "autoscale.panic_threshold"},
	{"    autoscale: { metric: cpu }\n", "    autoscale: { metric: cpu, max_up_rate: 10 }\n",
	 CHANGE_LIVE, "autoscale.max_up_rate"},
	{"    autoscale: { metric: cpu }\n", "    autoscale: { metric: cpu, max_down_rate: 3 }\n",
	 CHANGE_LIVE, "autoscale.max_down_rate"},
	{"    autoscale: { metric: cpu }\n",
	 "    autoscale: { metric: cpu, scale_down_delay: 1m }\n", CHANGE_LIVE,
	 "autoscale.scale_down_delay"},
	{"    autoscale: { metric: cpu }\n", "    autoscale: { metric: cpu, tolerance: 0.2 }\n",
	 CHANGE_LIVE, "autoscale.tolerance"},
	{"    autoscale: { metric: cpu }\n", "    autoscale: { metric: cpu, stabilization: 1m }\n",
	 CHANGE_LIVE, "autoscale.stabilization"},
	{"    autoscale: { metrics: [{ metric: cpu }] }\n",
	 "    autoscale: { metrics: [{ metric: cpu }, { metric: rps }] }\n", CHANGE_LIVE,
	 "autoscale.metrics"},
	{"    autoscale: { metric: cpu }\n",
	 "    autoscale: { metric: cpu, schedule: [{ cron: '@daily', for: 1h, min: 2 }] }\n",
	 CHANGE_LIVE, "autoscale.schedule"},
	{"", "    idle: 5m\n", CHANGE_LIVE, "idle"},
	{"", "    hold: 5m\n", CHANGE_LIVE, "hold"},
	{"", "    concurrency: 4\n", CHANGE_LIVE, "concurrency"},
	{"", "    queue: { max: 5 }\n", CHANGE_LIVE, "queue.max"},
	{"", "    queue: { timeout: 5s }\n", CHANGE_LIVE, "queue.timeout"},
	{"", "    affinity: { header: X-Session }\n", CHANGE_LIVE, "affinity.header"},
	{"", "    retry: unsafe\n", CHANGE_LIVE, "retry"},
	{"", "    timeouts: { connect: 1s }\n", CHANGE_LIVE, "timeouts.connect"},
	{"", "    timeouts: { head: 1s }\n", CHANGE_LIVE, "timeouts.head"},
	{"", "    timeouts: { idle: 1s }\n", CHANGE_LIVE, "timeouts.idle"},
	{"", "    timeouts: { response: 1s }\n", CHANGE_LIVE, "timeouts.response"},
	{"", "    timeouts: { stall: 1s }\n", CHANGE_LIVE, "timeouts.stall"},
	{"", "    timeouts: { total: 1m }\n", CHANGE_LIVE, "timeouts.total"},
	{"", "    timeouts: { tunnel: 1h }\n", CHANGE_LIVE, "timeouts.tunnel"},
	{"", "    access_log: 1\n", CHANGE_LIVE, "access_log"},
	{"", "    update: { strategy: canary }\n", CHANGE_LIVE, "update.strategy"},
	{"", "    update: { steps: [9%/1m, 100%] }\n", CHANGE_LIVE, "update.steps"},
	{"", "    update: { judge: { error_rate: 0.02 } }\n", CHANGE_LIVE,
	 "update.judge.error_rate"},
	{"", "    update: { judge: { p95: 3 } }\n", CHANGE_LIVE, "update.judge.p95"},
	{"", "    update: { judge: { min_requests: 9 } }\n", CHANGE_LIVE,
	 "update.judge.min_requests"},
	{"    environment: { A: x, C: z }\n", "    environment: { A: y, B: x, C: z }\n",
	 CHANGE_REPLACE, "environment.A, environment.B"},
	{"    environment: { AB: x }\n", "    environment: { A: x }\n", CHANGE_REPLACE,
	 "environment.A, environment.AB"},
	{"    environment: { A: x }\n", "", CHANGE_REPLACE, "environment.A"},
	{"", "    restart: on-failure\n", CHANGE_LIVE, "restart.policy"},
	{"", "    restart: { backoff: { initial: 2s } }\n", CHANGE_LIVE, "restart.backoff.initial"},
	{"", "    restart: { backoff: { factor: 1.5 } }\n", CHANGE_LIVE, "restart.backoff.factor"},
	{"", "    restart: { backoff: { max: 61s } }\n", CHANGE_LIVE, "restart.backoff.max"},
	{"", "    restart: { backoff: { jitter: 0 } }\n", CHANGE_LIVE, "restart.backoff.jitter"},
	{"", "    restart: { budget: { restarts: 11 } }\n", CHANGE_LIVE, "restart.budget.restarts"},
	{"", "    restart: { budget: { window: 1h } }\n", CHANGE_LIVE, "restart.budget.window"},
	{"", "    restart: { budget: { then: fail } }\n", CHANGE_LIVE, "restart.budget.then"},
	{"", "    watchdog: 3s\n", CHANGE_REPLACE, "watchdog"},
	{"", "    type: task\n", CHANGE_LIVE, "type"},
	{"    type: task\n", "    type: task\n    retries: 2\n", CHANGE_LIVE, "retries"},
	{"    type: task\n", "    type: task\n    timeout: 2s\n", CHANGE_LIVE, "timeout"},
	{"    type: task\n", "    type: task\n    run_again: never\n", CHANGE_LIVE, "run_again"},
	{"    type: task\n", "    type: task\n    schedule: \"@daily\"\n", CHANGE_LIVE, "schedule"},
	{"    type: task\n    schedule: \"@daily\"\n",
	 "    type: task\n    schedule: { cron: \"@daily\" }\n", CHANGE_NONE, ""},
	{"    type: task\n    schedule: \"@daily\"\n",
	 "    type: task\n    schedule: { every: 1h, missed: run }\n", CHANGE_LIVE,
	 "schedule.cron, schedule.every, schedule.missed"},
	{"    type: task\n    schedule: \"@daily\"\n",
	 "    type: task\n    schedule: { cron: \"@daily\", timezone: UTC }\n", CHANGE_LIVE,
	 "schedule.timezone"},
	/* An absent probe is compared as a whole, but for what its process must be born with. */
	{"", "    probes: { readiness: { notify: true } }\n", CHANGE_REPLACE,
	 "probes.readiness, probes.readiness.notify"},
	{"    probes: { readiness: { notify_fd: 3 } }\n", "", CHANGE_REPLACE,
	 "probes.readiness, probes.readiness.notify_fd"},
	{"    probes: { readiness: { tcp: {} } }\n",
	 "    probes: { readiness: { tcp: {}, notify: true } }\n", CHANGE_REPLACE,
	 "probes.readiness.notify"},
	{"    probes: { readiness: { tcp: {} } }\n",
	 "    probes: { readiness: { tcp: {}, notify_fd: 12 } }\n", CHANGE_REPLACE,
	 "probes.readiness.notify_fd"},
	{"", "    stop: { signal: INT }\n", CHANGE_LIVE, "stop.signal"},
	{"", "    stop: { grace_period: 31s }\n", CHANGE_LIVE, "stop.grace_period"},
	{"", "    logs: { max_size: 1MiB }\n", CHANGE_LIVE, "logs.max_size"},
	{"", "    logs: { max_files: 6 }\n", CHANGE_LIVE, "logs.max_files"},
	{"", "    logs: { max_age: 7d }\n", CHANGE_LIVE, "logs.max_age"},
	{"", "    logs: { max_total: 1GiB }\n", CHANGE_LIVE, "logs.max_total"},
	{"", "    logs: { rotate_every: 1d }\n", CHANGE_LIVE, "logs.rotate_every"},
	{"", "    logs: { compress: zstd }\n", CHANGE_LIVE, "logs.compress"},
	{"", "    logs: { on_full: drop }\n", CHANGE_LIVE, "logs.on_full"},
	{"", "    logs: { to: [file, journald] }\n", CHANGE_LIVE, "logs.to"},
	{"", "    user: bob\n    replicas: 3\n    logs: { max_files: 6 }\n", CHANGE_REPLACE,
	 "user, replicas, logs.max_files"},
};

/* What only some probes may be. */
static const struct {
	const char *probe, *a, *b, *keys;
} probe_specials[] = {
	{"startup", "tcp: {}", "log: { pattern: a }", "tcp, log"},
	{"startup", "log: { pattern: a }", "log: { pattern: b }", "log.pattern"},
	{"readiness", "tcp: {}", "log: { pattern: a }", "tcp, log"},
	{"readiness", "log: { pattern: a }", "log: { pattern: b }", "log.pattern"},
#define STUCK(more) "progress: { metric: m, pending: w" more " }"
	{"liveness", "tcp: {}", STUCK(""), "tcp, progress"},
	{"liveness", STUCK(""), "progress: { metric: n, pending: w }", "progress.metric"},
	{"liveness", STUCK(""), "progress: { metric: m, pending: x }", "progress.pending"},
	{"liveness", STUCK(""), STUCK(", path: /x"), "progress.path"},
	{"liveness", STUCK(""), STUCK(", host: \"::1\""), "progress.host"},
	{"liveness", STUCK(""), STUCK(", port: 98"), "progress.port"},
	{"liveness", STUCK(""), STUCK(", stall: 3s"), "progress.stall"},
};

/* Keys of a probe, each differing from the default. */
static const struct {
	const char *key, *value;
	const char *only; /* the probe that has it; NULL = all; "!x" = all but x */
} probe_keys[] = {
	{"http.path", "http: { path: /x }", NULL},
	{"http.host", "http: { host: \"::1\" }", NULL},
	{"http.port", "http: { port: 99 }", NULL},
	{"http.method", "http: { method: POST }", NULL},
	{"http.headers.X-A", "http: { headers: { X-A: b } }", NULL},
	{"http.expect.status", "http: { expect: { status: 204 } }", NULL},
	{"http.expect.json", "http: { expect: { json: { a: 1 } } }", NULL},
	{"http.max_latency", "http: { max_latency: 1s }", NULL},
	{"initial_delay", "http: {}, initial_delay: 3s", NULL},
	{"period", "http: {}, period: 3s", NULL},
	{"timeout", "http: {}, timeout: 3s", NULL},
	{"success_threshold", "http: {}, success_threshold: 2", "readiness"},
	{"failure_threshold", "http: {}, failure_threshold: 2", "!startup"},
	{"stall", "http: {}, stall: 3s", "startup"},
	{"deadline", "http: {}, deadline: 3m", "startup"},
};

/* The same for what else a probe may be: from a to b. */
static const struct {
	const char *a, *b, *keys;
} probe_kinds[] = {
	{"http: {}", "tcp: {}", "http, tcp"},
	{"tcp: {}", "grpc: {}", "tcp, grpc"},
	{"grpc: {}", "grpc: { service: a }", "grpc.service"},
	{"grpc: {}", "grpc: { host: \"::1\" }", "grpc.host"},
	{"grpc: {}", "grpc: { port: 98 }", "grpc.port"},
	{"tcp: {}", "file: { path: f }", "tcp, file"},
	{"file: { path: f }", "file: { path: g }", "file.path"},
	{"file: { path: f }", "file: { path: f, max_age: 3s }", "file.max_age"},
	{"http: { method: PUT }", "http: { method: PUT, body: x }", "http.body"},
	{"tcp: {}", "exec: { command: [a] }", "tcp, exec"},
	{"tcp: {}", "tcp: { host: 127.0.0.1 }", ""},
	{"tcp: {}", "tcp: { host: \"::1\" }", "tcp.host"},
	{"tcp: {}", "tcp: { port: http }", "tcp.port"},
	{"tcp: { port: 99 }", "tcp: { port: 98 }", "tcp.port"},
	{"exec: { command: [a] }", "exec: { command: [a, b] }", "exec.command"},
};

static struct buf covered; /* every name reported so far, " name," each */

static struct manifest *parse(const char *keys)
{
	bool own_command = strncmp(keys, "    command:", 12) == 0,
	     own_port = strstr(keys, " port: 2");
	_cleanup_free_ char *text = mem_printf("version: 1\nservices:\n  web:\n%s%s%s",
					       own_command ? "" : "    command: [server]\n",
					       own_port ? "" : "    port: 1000\n", keys);

	return manifest_case_good(text);
}

static void check(const char *a, const char *b, enum change_class change, const char *keys)
{
	struct manifest *x = parse(a), *y = parse(b);
	_cleanup_buf_ struct buf there = {0}, back = {0};

	assert_int_equal(service_spec_diff(x->services[0], y->services[0], &there), change);
	assert_string_equal(buf_cstr(&there), keys);
	assert_int_equal(service_spec_diff(y->services[0], x->services[0], &back), change);
	assert_string_equal(buf_cstr(&back), keys);
	assert_int_equal(service_spec_diff(x->services[0], y->services[0], NULL), change);
	assert_int_equal(service_spec_hash(x->services[0]) == service_spec_hash(y->services[0]),
			 change != CHANGE_REPLACE);
	buf_printf(&covered, " %s,", keys);
	manifest_free(x);
	manifest_free(y);
}

#define MORE                                                                                        \
	"    command: [a, b]\n    user: ann\n    umask: 077\n    nice: 1\n    ports: { x: { port: " \
	"1 } }\n    environment: { A: b }\n    ulimits: { core: 0 }\n    probes: { readiness: { "   \
	"notify: true } }\n"

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check(cases[i].a, cases[i].b, cases[i].change, cases[i].keys);
	check("", "    port: 2000\n", CHANGE_LIVE, "ports.http.port");
	check("", "    command: [server, -v]\n", CHANGE_REPLACE, "command");
	check("    command: [a, b]\n", "    command: [a]\n", CHANGE_REPLACE, "command");
	check("    command: [a, b]\n", "    command: [a, c]\n", CHANGE_REPLACE, "command");
}

static void test_probes(void **state)
{
	static const char *const names[] = {"startup", "readiness", "liveness"};

	(void)state;
	for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
		_cleanup_free_ char *plain =
			mem_printf("    probes: { %s: { http: {} } }\n", names[n]);
		_cleanup_free_ char *whole = mem_printf("probes.%s", names[n]);

		check("", plain, CHANGE_LIVE, whole);
		for (size_t i = 0; i < ARRAY_SIZE(probe_keys); i++) {
			const char *only = probe_keys[i].only;
			_cleanup_free_ char *keys = mem_printf("    probes: { %s: { %s } }\n",
							       names[n], probe_keys[i].value);
			_cleanup_free_ char *name = mem_printf("%s.%s", whole, probe_keys[i].key);

			if (only &&
			    (only[0] == '!') == (strcmp(only + (only[0] == '!'), names[n]) == 0))
				continue;
			check(plain, keys, CHANGE_LIVE, name);
		}
	}
}

/* "http, tcp" -> "probes.liveness.http, probes.liveness.tcp". */
static char *below(const char *whole, const char *keys)
{
	struct buf b = {0};

	for (const char *p = keys; *p;) {
		size_t n = strcspn(p, ",");

		buf_printf(&b, "%s%s.%.*s", b.len ? ", " : "", whole, (int)n, p);
		p += n + strspn(p + n, ", ");
	}
	return b.len ? buf_take(&b) : mem_strdup("");
}

static void test_probe_kinds(void **state)
{
	static const char *const names[] = {"startup", "readiness", "liveness"};

	(void)state;
	for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
		_cleanup_free_ char *whole = mem_printf("probes.%s", names[n]);

		for (size_t i = 0; i < ARRAY_SIZE(probe_kinds); i++) {
			_cleanup_free_ char *a = mem_printf("    probes: { %s: { %s } }\n",
							    names[n], probe_kinds[i].a);
			_cleanup_free_ char *b = mem_printf("    probes: { %s: { %s } }\n",
							    names[n], probe_kinds[i].b);
			_cleanup_free_ char *keys = below(whole, probe_kinds[i].keys);

			check(a, b, keys[0] ? CHANGE_LIVE : CHANGE_NONE, keys);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(probe_specials); i++) {
		const char *name = probe_specials[i].probe;
		_cleanup_free_ char *whole = mem_printf("probes.%s", name);
		_cleanup_free_ char *a =
			mem_printf("    probes: { %s: { %s } }\n", name, probe_specials[i].a);
		_cleanup_free_ char *b =
			mem_printf("    probes: { %s: { %s } }\n", name, probe_specials[i].b);
		_cleanup_free_ char *keys = below(whole, probe_specials[i].keys);

		check(a, b, CHANGE_LIVE, keys);
	}
}

/*
 * The next build must find the same hash for what is running, else an upgrade would replace every
 * process: a new key must not change it where it is not given. Not to be adjusted.
 */
static void test_hash_of_other_builds(void **state)
{
	struct manifest *plain = parse(""), *more = parse(MORE);

	(void)state;
	assert_int_equal(service_spec_hash(plain->services[0]), UINT64_C(0xba6647bbc97f843a));
	assert_int_equal(service_spec_hash(more->services[0]), UINT64_C(0x48a767f4fff88459));
	manifest_free(plain);
	manifest_free(more);
}

/* What a secret holds counts, not where it was read. */
static void test_secret_digest(void **state)
{
	struct manifest *x = parse("    secrets: { t: { file: a } }\n");
	struct manifest *y = parse("    secrets: { t: { file: a } }\n");
	_cleanup_buf_ struct buf keys = {0};

	(void)state;
	((struct secret_spec *)y->services[0]->secrets.v)->digest = 5;
	assert_int_equal(service_spec_diff(x->services[0], y->services[0], &keys), CHANGE_REPLACE);
	assert_string_equal(buf_cstr(&keys), "secrets.t");
	assert_true(service_spec_hash(x->services[0]) != service_spec_hash(y->services[0]));
	manifest_free(x);
	manifest_free(y);
}

/* With a reload it is read again, and no replica is outdated by it. */
static void test_reloaded_secret(void **state)
{
	static const char with[] = "    reload: { signal: SIGHUP }\n"
				   "    secrets: { t: { file: a }, u: { file: b } }\n";
	struct manifest *x = parse(with), *y = parse(with);
	struct secret_spec *a = x->services[0]->secrets.v, *b = y->services[0]->secrets.v;
	_cleanup_buf_ struct buf keys = {0}, both = {0};

	(void)state;
	a[1].reloaded_digest = 4;
	b[1].reloaded_digest = 5;
	assert_int_equal(service_spec_diff(x->services[0], y->services[0], &keys), CHANGE_RELOAD);
	assert_string_equal(buf_cstr(&keys), "secrets.u");
	assert_true(service_spec_hash(x->services[0]) == service_spec_hash(y->services[0]));
	b[1].reloaded_digest = 0; /* it declares none any more */
	b[1].digest = 5;
	assert_int_equal(service_spec_diff(x->services[0], y->services[0], &both), CHANGE_REPLACE);
	assert_string_equal(buf_cstr(&both), "secrets.u"); /* once */
	manifest_free(x);
	manifest_free(y);
}

/* A new kind of probe is one that asks somebody. */
static void test_every_choice_of_a_probe_polls(void **state)
{
	const struct schema_row *probe = schema_find("services.*.probes.readiness"), *row = NULL;
	unsigned n = 0;

	(void)state;
	while ((row = schema_next(probe, row)) != NULL) {
		struct service_spec s = {.probes[PROBE_READINESS].enabled = true};

		if (!(row->flags & SCHEMA_CHOICE))
			continue;
		assert_false(probe_spec_polls(&s.probes[PROBE_READINESS]));
		*(bool *)((char *)&s + row->offset) = true;
		if (!probe_spec_polls(&s.probes[PROBE_READINESS]))
			fail_msg("probe_spec_polls() does not know %s", row->path);
		n++;
	}
	assert_true(n >= 3);
}

static void test_every_key_has_a_case(void **state)
{
	size_t n;
	const struct schema_row *rows = schema_rows(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		bool is_map = rows[i].type == SCHEMA_MAP;
		_cleanup_free_ char *want =
			mem_printf(" %s%s", schema_shown(&rows[i]), is_map ? "." : ",");

		/* those inside an element have names of their own: test_rows.c walks them */
		if (rows[i].offset == SCHEMA_NO_FIELD || strstr(rows[i].path, ".*.") == NULL ||
		    strstr(strstr(rows[i].path, ".*.") + 3, ".*") ||
		    strcmp(rows[i].path, "services.*.port") == 0 ||
		    strncmp(rows[i].path, "services.*.ulimits.", strlen("services.*.ulimits.")) ==
			    0 ||
		    rows[i].type == SCHEMA_TABLE ||
		    (rows[i].type == SCHEMA_INT && rows[i].min == rows[i].max))
			continue;
		if (strcmp(rows[i].path, "services.*.env_file") == 0)
			continue; /* needs files: test_rows.c */
		if (!strstr(buf_cstr(&covered), want))
			fail_msg("no case for %s", rows[i].path);
	}
}

static int free_covered(void **state)
{
	(void)state;
	buf_done(&covered);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_hash_of_other_builds),
		cmocka_unit_test(test_probes),
		cmocka_unit_test(test_probe_kinds),
		cmocka_unit_test(test_secret_digest),
		cmocka_unit_test(test_reloaded_secret),
		cmocka_unit_test(test_every_choice_of_a_probe_polls),
		cmocka_unit_test(test_every_key_has_a_case),
	};

	return cmocka_run_group_tests(tests, NULL, free_covered);
}
