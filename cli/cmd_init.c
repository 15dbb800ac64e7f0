/*
 * cmd_init: aictl init, writes a first aictl.yaml that runs at once. Lines of it that begin with
 * "#key:" are examples of what else there is; the tests check that each is valid without its "#".
 * An existing manifest is never touched without --force: exit 8.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/report.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/schema.h"

#define FILE_NAME "aictl.yaml"
#define SCHEMA_COMMENT "# yaml-language-server: $schema=" DATADIR "/aictl-manifest.schema.json\n"

static const char head[] = SCHEMA_COMMENT
	"# What aictl runs for this directory.   aictl up      runs it here, until Ctrl-C\n"
	"#                                       aictl explain says what each key means\n"
	"# Lines that begin with #key are examples: take the # away to use one.\n"
	"version: 1\n";

static const char body[] =
	"\n"
	"services:\n"
	"  web:                              # the name for `aictl logs web` and the like\n"
	"    description: The files of this directory; put a command of your own here\n"
	"    # Program and arguments; no shell is involved unless you name one. Each replica\n"
	"    # has a port of its own in ${PORT}.\n"
	"    command: [python3, -m, http.server, \"${PORT}\", --bind, 127.0.0.1]\n"
	"    replicas: 1\n"
	"    port: 8000                      # the stable address, 127.0.0.1:8000\n"
	"    # Or as many as the load wants, with replicas: { min: 1, max: 4 }; 0: none while idle.\n"
	"    #autoscale: { metric: concurrency, target: 4 }\n"
	"    #idle: 10m                      # without a request for so long none runs\n"
	"    #hold: 120s                     # a request waits so long for the first one\n"
	"    # What happens to requests at the stable port.\n"
	"    #concurrency: 8                 # at a time, of each replica; the others wait\n"
	"    #queue: { max: 100, timeout: 30s }\n"
	"    #affinity: { header: X-Session-Id }\n"
	"    #retry: idempotent              # or unsafe, never\n"
	"    #timeouts: { response: 10m, total: 15m }\n"
	"    #access_log: 0.01               # one in a hundred is logged\n"
	"    #depends_on: { fetch: { condition: completed } }    # the task below\n"
	"    #on_dependency_restart: restart # or reload, or ignore\n"
	"    #working_dir: .                 # relative to this file\n"
	"    #user: nobody                   # needs a daemon of root\n"
	"    #group: nogroup\n"
	"    #environment: { OMP_NUM_THREADS: \"2\", HF_HOME: \"${env:HOME}/hf\" }\n"
	"    #env_file: [.env]               # NAME=value lines, read by you, not by the daemon\n"
	"    #secrets: { token: { env: API_TOKEN } }    # ${secret:token} is the path of a file\n"
	"    #labels: { team: nlp }\n"
	"    #umask: \"027\"\n"
	"    #nice: 5                        # 19 is the lowest priority\n"
	"    #oom_score: 500                 # 1000 is killed first when memory is short\n"
	"    #ulimits: { nofile: 1024, core: 0 }\n"
	"    #resources: { limits: { memory: 2GiB, cpus: 1.5, pids: 512 } }\n"
	"\n"
	"    probes:\n"
	"      # Has it come up? Until then the others wait; after `stall` it is started again.\n"
	"      startup: { http: { path: / }, period: 500ms, stall: 2m }\n"
	"      # May it have requests?\n"
	"      #readiness: { tcp: {}, period: 5s, timeout: 2s, failure_threshold: 3 }\n"
	"      # Does it still work? Failing restarts it.\n"
	"      #liveness: { exec: { command: [test, -d, .] }, period: 30s }\n"
	"    #warmup: [{ http: { path: /, max_latency: 1s } }]    # requests before it is ready\n"
	"    #watchdog: 30s                  # it must say WATCHDOG=1 that often, as for systemd\n"
	"\n"
	"    restart:\n"
	"      policy: always                # or on-failure, never\n"
	"      #success_exit_codes: [0, 143]\n"
	"      #rules: [{ exit: [125], then: fail }]\n"
	"      #backoff: { initial: 1s, factor: 2, max: 60s, jitter: 0.2 }\n"
	"      #budget: { restarts: 10, window: 10m, then: slow }    # or fail\n"
	"\n"
	"    # How a change replaces the replicas; what `aictl reload` does; steps around starts.\n"
	"    #update: { order: start-first, max_surge: 1, min_ready: 10s, on_failure: rollback }\n"
	"    #reload: { signal: SIGHUP }\n"
	"    #hooks: { pre_start: [{ exec: { command: [mkdir, -p, cache] }, timeout: 10s }] }\n"
	"    #stop: { signal: SIGTERM, grace_period: 30s, drain: 30s }\n"
	"    #logs: { max_size: 20MiB, max_files: 5, on_full: block }    # or drop; to: [file, journald]\n"
	"\n"
	"  # Tasks come to an end. They run at an apply (run_again: when), or when it is time.\n"
	"  #fetch: { type: task, command: [mkdir, -p, data], retries: 2, timeout: 5m, run_again: always }\n"
	"  #clean: { type: task, command: [find, ., -name, \"*.tmp\", -delete], schedule: \"0 3 * * *\" }\n"
	"\n"
	"  # Containers, where the daemon has an engine: aictl explain image\n"
	"  #cache: { image: \"redis:7\", ports: { redis: { port: 6379, protocol: tcp } }, volumes: [\"cache:/data\"] }\n";

/* dir, made when it is not there, as an absolute path. */
static char *open_dir(const char *dir)
{
	_cleanup_err_ struct err *e = NULL;
	char *real;

	if (fs_mkdir_p(dir, 0777, &e) < 0)
		report_die(e);
	real = realpath(dir, NULL);
	if (real)
		return real;
	err_sys(&e, errno, "%s", dir);
	report_die(e);
}

/* Another spelling of the default name would be passed over from now on: as bad as overwriting. */
static bool is_taken(const char *dir)
{
	static const char *const names[] = {FILE_NAME, "aictl.yml"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *path = x_check(fs_join(dir, names[i]));

		if (access(path, F_OK) == 0) {
			report_plain("%s is there already", path);
			report_hint("--force overwrites it");
			return true;
		}
	}
	return false;
}

/* The old file stays whole until the new one is. */
static void write_file(const char *path, const struct buf *text)
{
	_cleanup_free_ char *temporary = x_printf("%s.XXXXXX", path);
	_cleanup_close_ int fd = mkostemp(temporary, O_CLOEXEC);
	_cleanup_err_ struct err *e = NULL;
	mode_t mask = umask(0);
	int r = fd < 0 ? -errno : fs_write_all(fd, text->data, text->len);

	umask(mask);
	if (r == 0 && (fchmod(fd, 0666 & ~mask) < 0 || rename(temporary, path) < 0))
		r = -errno;
	if (r == 0)
		return;
	if (fd >= 0)
		unlink(temporary);
	err_sys(&e, -r, "cannot write %s", path);
	report_die(e);
}

static void say_next(const char *dir, const char *operand)
{
	printf("%s/" FILE_NAME " is written. Next:\n", operand ? operand : dir);
	if (operand)
		printf("  cd %s\n", operand);
	puts("  aictl up          # run it here, until Ctrl-C\n"
	     "  aictl ps          # in another terminal there: what runs\n"
	     "  aictl explain     # what else can be said in it");
}

static int run(struct cli *cli, const struct args *args)
{
	const char *operand = args->n_operands ? args->operands[0] : NULL;
	const char *given = args_value(args, "name", NULL);
	_cleanup_free_ char *dir = NULL, *name = NULL, *path = NULL;
	_cleanup_buf_ struct buf text = {0};

	(void)cli;
	if (given && !schema_is_label(given))
		report_usage(args->command, "--name %s: expected a-z, 0-9 and \"-\"", given);
	dir = open_dir(operand ? operand : ".");
	if (!args_flag(args, "force") && is_taken(dir))
		return CODE_CONFLICT;
	name = given ? x_strdup(given) : x_check(schema_make_label(dir, "app"));
	path = x_check(fs_join(dir, FILE_NAME));
	buf_str(&text, head);
	buf_printf(&text, "name: %-28s # the set: what this file owns together\n", name);
	buf_str(&text, body);
	if (text.failed)
		x_check(NULL);
	write_file(path, &text);
	say_next(dir, operand);
	return CODE_OK;
}

static const struct option_spec options[] = {
	{0, "name", "NAME", "name of the set (default: the directory's)", NULL},
	{0, "force", NULL, "overwrite a manifest that is there", NULL},
	{0},
};

const struct command cmd_init_command = {
	.name = "init",
	.group = GROUP_MANIFEST,
	.synopsis = "[OPTIONS] [DIR]",
	.summary = "Write a first manifest, with comments",
	.details = "Writes aictl.yaml into DIR, which is made when it is not there, else into the\n"
		   "current directory. It runs as it is: a small web server that shows the\n"
		   "directory on the loopback address. A manifest that is there is kept (exit\n"
		   "code 8) unless --force is given.",
	.examples = "aictl init && aictl up\n"
		    "aictl init --name shop services/shop",
	.options = options,
	.args_max = 1,
	.run = run,
};
