/*
 * test_doctor: each check of `aictl doctor` against facts and files made here: a good machine, and
 * one lack at a time.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/doctor_look.h"
#include "lib/fs.h"
#include "lib/mem.h"

#define CG "/sys/fs/cgroup/user.slice/me"

static char root[] = "/tmp/aictl-doctor-XXXXXX";

static void put(const char *path, const char *text)
{
	_cleanup_free_ char *full = mem_printf("%s%s", root, path), *dir = fs_dirname(full);
	FILE *f;

	assert_int_equal(fs_mkdir_p(dir, 0755, NULL), 0);
	f = fopen(full, "we");
	assert_non_null(f);
	assert_int_equal(fputs(text, f) < 0, 0);
	assert_int_equal(fclose(f), 0);
}

static void drop(const char *path)
{
	_cleanup_free_ char *full = mem_printf("%s%s", root, path);

	assert_int_equal(remove(full), 0);
}

static void good_files(void)
{
	put("/proc/sys/fs/pipe-user-pages-soft", "16384\n");
	put("/proc/sys/fs/pipe-max-size", "1048576\n");
	put("/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n");
	put("/proc/self/mountinfo",
	    "22 1 0:20 / /proc rw - proc proc rw\n"
	    "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n");
	put("/proc/self/cgroup", "1:name=x:/\n0::/user.slice/me\n");
	put(CG "/cgroup.controllers", "cpuset cpu io memory pids\n");
	put(CG "/cgroup.kill", "");
	put(CG "/memory.oom.group", "0");
	put("/proc/net/tcp", "  sl  local_address rem_address   st\n"
			     "   0: 0100007F:4E20 00000000:0000 0A 00000000:00000000\n"
			     "   1: 0100007F:4E21 00000000:0000 01 00000000:00000000\n"
			     "   2: 0100007F:0016 00000000:0000 0A 00000000:00000000\n");
	put("/run/systemd/system/x", "");
	put("/var/lib/systemd/linger/ann", "");
}

static int set_up(void **state)
{
	static const char *const good =
		"{\"mode\":\"normal\",\"version\":\"1.2\",\"log_level\":\"info\","
		"\"controller_restarts\":0,\"logger_restarts\":0,\"gateway_restarts\":0,\"ports_unchecked\":null,"
		"\"store\":{\"ok\":true,\"queued\":0,\"dropped\":0}}";
	struct doctor_machine *m = calloc(1, sizeof(*m));
	static char user[] = "ann", run[] = "/run/user/1/aictl", var[] = "/var/x";

	good_files();
	*m = (struct doctor_machine){
		.root = root,
		.uid = 1000,
		.user = user,
		.release = "6.17.0-test",
		.nofile_soft = 1024,
		.nofile_hard = 524288,
		.runtime = {.path = run, .looked_at = run, .tmpfs = true},
		.state = {.path = var, .looked_at = var, .free_bytes = 1LL << 40},
		.logs = {.path = var, .looked_at = var, .free_bytes = 1LL << 40},
		.shm_tmpfs = true,
		.clock_synced = true,
		.wall_ms = INT64_C(1800000000000),
		.helper_users = true,
		.system_users = true,
		.port_first = 20000,
		.port_last = 29999,
		.daemon = cJSON_Parse(good),
		.daemon_socket = "/run/x.sock",
		.our_version = "1.2",
	};
	*state = m;
	return 0;
}

static int tear_down(void **state)
{
	struct doctor_machine *m = *state;

	cJSON_Delete((cJSON *)(uintptr_t)m->daemon);
	free(m);
	return 0;
}

static enum doctor_level look(const struct doctor_machine *m, const char *name, const char *holds)
{
	for (const struct doctor_check *c = doctor_checks; c->name; c++) {
		struct doctor_finding f = {0};

		if (strcmp(c->name, name) != 0)
			continue;
		c->look(m, &f);
		assert_non_null(f.found);
		if (f.level != DOCTOR_OK && (!f.costs || !f.advice))
			fail_msg("%s does not say what it costs and what to do: %s", name, f.found);
		if (holds && !strstr(f.found, holds))
			fail_msg("%s: \"%s\" does not hold \"%s\"", name, f.found, holds);
		mem_free(f.found);
		return f.level;
	}
	fail_msg("no check %s", name);
	return DOCTOR_OK;
}

static void a_good_machine(void **state)
{
	for (const struct doctor_check *c = doctor_checks; c->name; c++)
		if (look(*state, c->name, NULL) != DOCTOR_OK)
			fail_msg("%s is not ok", c->name);
	assert_int_equal(look(*state, "pipes",
			      "16384 pages of pipe buffers for a user: whole pipes for 512"),
			 DOCTOR_OK);
	look(*state, "ports", "1 of them taken");
	look(*state, "open-files", "room for about 131047 replicas");
	look(*state, "cgroups", CG ": tracking, freezing, limits (memory, cpu, pids, io, cpuset)");
}

static void set(struct doctor_machine *m, const char *key, cJSON *value)
{
	cJSON_ReplaceItemInObjectCaseSensitive((cJSON *)(uintptr_t)m->daemon, key, value);
}

static void the_kernel(void **state)
{
	struct doctor_machine *m = *state;

	m->clone3 = EPERM;
	assert_int_equal(look(m, "kernel", "clone3"), DOCTOR_PROBLEM);
	m->clone3 = 0;
	snprintf(m->release, sizeof(m->release), "5.8.0");
	assert_int_equal(look(m, "kernel", "5.9"), DOCTOR_PROBLEM);
	snprintf(m->release, sizeof(m->release), "6.1.0-18-amd64");
	assert_int_equal(look(m, "kernel", NULL), DOCTOR_OK);
	assert_int_equal(look(m, "exit-status", "6.15"), DOCTOR_WARNING);
}

static void limits(void **state)
{
	struct doctor_machine *m = *state;

	m->nofile_hard = 1024;
	assert_int_equal(look(m, "open-files", "room for about 231"), DOCTOR_WARNING);
	m->nofile_hard = 64;
	assert_int_equal(look(m, "open-files", "room for about 0"), DOCTOR_PROBLEM);
	put("/proc/sys/fs/pipe-user-pages-soft", "1024\n");
	assert_int_equal(look(m, "pipes", "32 replicas"), DOCTOR_WARNING);
	m->uid = 0;
	assert_int_equal(look(m, "pipes", "no limit for root"), DOCTOR_OK);
	drop("/proc/sys/fs/pipe-user-pages-soft");
	m->uid = 1000;
	assert_int_equal(look(m, "pipes", "cannot be read"), DOCTOR_OK);
	put("/proc/sys/net/ipv4/ip_local_port_range", "10000 65000\n");
	assert_int_equal(look(m, "ports", "overlaps 10000-65000"), DOCTOR_WARNING);
	set(m, "ports_unchecked", cJSON_CreateString("Operation not permitted"));
	assert_int_equal(look(m, "ports", "not checked: Operation not permitted"), DOCTOR_WARNING);
}

static void cgroups(void **state)
{
	struct doctor_machine *m = *state;

	put(CG "/cgroup.controllers", "memory cpu pids\n"); /* a user's: enough */
	assert_int_equal(look(m, "cgroups", "limits (memory, cpu, pids)"), DOCTOR_OK);
	put(CG "/cgroup.controllers", "cpuset hugetlb\n");
	assert_int_equal(look(m, "cgroups",
			      CG
			      ": tracking and freezing; not enforced of resources.limits: memory, "
			      "memory_high, swap, cpus, cpu_weight, pids, io_weight"),
			 DOCTOR_WARNING);
	put("/proc/self/cgroup", "0::/elsewhere\n");
	assert_int_equal(look(*state, "cgroups", "not writable"), DOCTOR_WARNING);
	put("/proc/self/mountinfo", "22 1 0:20 / /proc rw - proc proc rw\n");
	assert_int_equal(look(*state, "cgroups", "no cgroup2 tree is mounted"), DOCTOR_WARNING);
}

/* What a daemon says of itself counts, not what a shell beside it sees. */
static void cgroups_of_the_daemon(void **state)
{
	static const char none[] = "{\"dir\":null,\"can\":[]}";
	static const char hybrid[] = "{\"dir\":\"/sys/fs/cgroup/unified/a\",\"can\":[\"track\"]}";
	static const char most[] =
		"{\"dir\":\"/cg/x\",\"can\":[\"track\",\"memory\",\"cpu\",\"pids\",\"io\"]}";
	struct doctor_machine *m = *state;
	cJSON *daemon = (cJSON *)(uintptr_t)m->daemon;

	cJSON_AddItemToObject(daemon, "cgroup", cJSON_Parse(none));
	assert_int_equal(look(m, "cgroups", "no cgroup2 tree that the daemon may use"),
			 DOCTOR_WARNING);
	set(m, "cgroup", cJSON_Parse(hybrid));
	assert_int_equal(look(m, "cgroups", "/sys/fs/cgroup/unified/a: tracking and freezing"),
			 DOCTOR_WARNING);
	set(m, "cgroup", cJSON_Parse(most));
	assert_int_equal(
		look(m, "cgroups", "/cg/x: tracking, freezing, limits (memory, cpu, pids, io)"),
		DOCTOR_OK);
}

static void the_system(void **state)
{
	struct doctor_machine *m = *state;

	drop("/var/lib/systemd/linger/ann");
	assert_int_equal(look(m, "linger", "off for ann"), DOCTOR_WARNING);
	m->uid = 0;
	assert_int_equal(look(m, "linger", NULL), DOCTOR_OK);
	m->system_users = false;
	assert_int_equal(look(m, "users", "aictl-gw"), DOCTOR_WARNING);
	m->helper_users = false;
	assert_int_equal(look(m, "users", "aictl-log"), DOCTOR_PROBLEM);
	drop("/run/systemd/system/x");
	drop("/run/systemd/system");
	assert_int_equal(look(m, "service-manager", "no systemd"), DOCTOR_WARNING);
	m->uid = 1000;
	assert_int_equal(look(m, "linger", "ends nothing"), DOCTOR_OK);
	m->clock_synced = false;
	assert_int_equal(look(m, "clock", "not synchronized"), DOCTOR_WARNING);
	m->wall_ms = 0;
	assert_int_equal(look(m, "clock", "past"), DOCTOR_WARNING);
}

static void directories(void **state)
{
	struct doctor_machine *m = *state;

	m->runtime.tmpfs = false;
	assert_int_equal(look(m, "runtime-dir", "/dev/shm"), DOCTOR_OK);
	m->shm_tmpfs = false;
	assert_int_equal(look(m, "runtime-dir", "neither"), DOCTOR_PROBLEM);
	m->state.access = EACCES;
	assert_int_equal(look(m, "state-dir", "Permission denied"), DOCTOR_PROBLEM);
	m->state.access = 0;
	m->state.free_bytes = 100 << 20;
	assert_int_equal(look(m, "state-dir", "100 of"), DOCTOR_WARNING);
	m->logs.free_bytes = 0;
	assert_int_equal(look(m, "log-dir", "0 of"), DOCTOR_PROBLEM);
	m->state.hangs = m->logs.hangs = m->runtime.hangs = true;
	assert_int_equal(look(m, "state-dir", "does not answer"), DOCTOR_PROBLEM);
	assert_int_equal(look(m, "log-dir", "does not answer"), DOCTOR_PROBLEM);
	assert_int_equal(look(m, "runtime-dir", "does not answer"), DOCTOR_PROBLEM);
}

static void the_daemon(void **state)
{
	struct doctor_machine *m = *state;
	const cJSON *daemon = m->daemon;

	set(m, "version", cJSON_CreateString("1.1"));
	assert_int_equal(look(m, "daemon", "version 1.1, this program has 1.2"), DOCTOR_WARNING);
	set(m, "mode", cJSON_CreateString("safe"));
	assert_int_equal(look(m, "daemon", "safe mode"), DOCTOR_PROBLEM);
	set(m, "log_level", cJSON_CreateString("debug"));
	assert_int_equal(look(m, "daemon-log", "debug"), DOCTOR_WARNING);
	set(m, "logger_restarts", cJSON_CreateNumber(2));
	assert_int_equal(look(m, "daemon-helpers", "logger 2"), DOCTOR_WARNING);
	set(m, "gateway_restarts", cJSON_CreateNumber(1));
	assert_int_equal(look(m, "daemon-helpers", "gateway 1"), DOCTOR_WARNING);
	set(m, "store", cJSON_Parse("{\"ok\":true,\"queued\":9,\"dropped\":3}"));
	assert_int_equal(look(m, "daemon-store", "3 writes"), DOCTOR_WARNING);
	set(m, "store", cJSON_Parse("{\"ok\":false}"));
	assert_int_equal(look(m, "daemon-store", NULL), DOCTOR_PROBLEM);
	m->daemon_why = "it reads its store";
	assert_int_equal(look(m, "daemon", "not ready: it reads its store"), DOCTOR_PROBLEM);
	m->daemon_why = NULL;
	m->daemon = NULL;
	assert_int_equal(look(m, "daemon", "does not answer"), DOCTOR_PROBLEM);
	m->daemon_socket = NULL;
	assert_int_equal(look(m, "daemon", "none answers"), DOCTOR_OK);
	assert_int_equal(look(m, "daemon-store", "no daemon"), DOCTOR_OK);
	m->daemon = daemon;
}

static void the_document(void **state)
{
	struct doctor_machine *m = *state;
	cJSON *d;
	const cJSON *c;
	int n = 0;

	m->clock_synced = false;
	m->clone3 = ENOSYS;
	d = doctor_document(m);
	assert_int_equal(cJSON_GetObjectItem(d, "warnings")->valueint, 1);
	assert_int_equal(cJSON_GetObjectItem(d, "problems")->valueint, 1);
	cJSON_ArrayForEach (c, cJSON_GetObjectItem(d, "checks")) {
		bool ok = strcmp(cJSON_GetObjectItem(c, "level")->valuestring, "ok") == 0;

		assert_int_equal(ok, cJSON_IsNull(cJSON_GetObjectItem(c, "costs")));
		n++;
	}
	assert_int_equal(cJSON_GetObjectItem(d, "ok")->valueint, n - 2);
	cJSON_Delete(d);
}

/* What this machine really says: no fact may be missing, whatever it is. */
static void this_machine(void **state)
{
	struct doctor_machine m;

	(void)state;
	doctor_machine_read(&m, NULL, NULL, NULL);
	assert_true(m.release[0] != '\0');
	assert_true(m.nofile_hard > 0);
	assert_true(m.runtime.looked_at[0] == '/');
	assert_true(m.state.total_bytes > 0);
	assert_int_equal(m.clone3, 0);
	for (const struct doctor_check *c = doctor_checks; c->name; c++)
		look(&m, c->name, NULL);
	doctor_machine_done(&m);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

static void set_runtimes(struct doctor_machine *m, const char *list)
{
	cJSON *d = (cJSON *)(uintptr_t)m->daemon;

	cJSON_DeleteItemFromObject(d, "runtimes");
	cJSON_AddItemToObject(d, "runtimes", cJSON_Parse(list));
}

static void engines(void **state)
{
	struct doctor_machine *m = *state;

	look(m, "runtimes", "services are processes");
	set_runtimes(m, "[{\"name\":\"docker\",\"reachable\":true,\"engine\":\"Podman 4.3.1\"}]");
	assert_int_equal(look(m, "runtimes", "docker: Podman 4.3.1 answers"), DOCTOR_OK);
	assert_int_equal(look(m, "runtime-rights", "can become root"), DOCTOR_OK);
	set_runtimes(
		m, "[{\"name\":\"docker\",\"endpoint\":\"unix:///run/d.sock\",\"reachable\":false,"
		   "\"error\":\"Permission denied\"}]");
	assert_int_equal(look(m, "runtimes", "docker: unreachable: Permission denied"),
			 DOCTOR_PROBLEM);
	put("/run/d.sock", "");
	assert_int_equal(look(m, "runtime-rights", "docker enabled"), DOCTOR_OK);
	_cleanup_free_ char *path = mem_printf("%s/run/d.sock", root);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(look(m, "runtime-rights", "/run/d.sock is open to every user"),
			 DOCTOR_PROBLEM);
}

#define ON(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		ON(a_good_machine),
		ON(the_kernel),
		ON(limits),
		ON(cgroups),
		ON(cgroups_of_the_daemon),
		ON(the_system),
		ON(directories),
		ON(the_daemon),
		ON(the_document),
		ON(engines),
		cmocka_unit_test(this_machine),
	};
	int r;

	if (doctor_look_main(argc, argv)) /* our own child, which looks at directories */
		return 0;
	if (!mkdtemp(root))
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return r;
}
