/* handover: see handover.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/handover.h"

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/halt.h"
#include "cli/js.h"
#include "cli/report.h"
#include "cli/text.h"
#include "cli/x.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/mem.h"

#define LOOK_MS 20
#define PATIENCE_MS 5000

/* "2 replicas run on, 1 has no process". Caller frees. */
static char *running(const cJSON *d)
{
	int64_t all = js_int(d, "replicas", 0), running = js_int(d, "running", all);
	_cleanup_free_ char *text = text_count(running, "replica");
	const char *verb = running == 1 ? "runs" : "run";

	if (running == all)
		return x_printf("%s %s on", text, verb);
	return x_printf("%s %s on, %lld %s no process", text, verb, (long long)(all - running),
			all - running == 1 ? "has" : "have");
}

const char *handover_start_command(void)
{
	return geteuid() == 0 ? "systemctl start aictld" : "systemctl --user start aictld";
}

int handover_detach(struct client *client, int64_t timeout_ms)
{
	_cleanup_reply_ struct reply d = {0};
	_cleanup_free_ char *replicas = NULL;
	bool activated;
	int code;

	client_get(client, "/v1/daemon", &d);
	activated = halt_is_activated(client, (int)js_int(d.json, "pid", 0));
	code = halt_wait(client, "/v1/daemon/detach", timeout_ms);
	if (code == CODE_TIMEOUT)
		report_plain("timed out: the daemon has not ended yet");
	if (code != CODE_OK)
		return code;
	replicas = running(d.json);
	printf("aictld %lld has ended, %s\n", (long long)js_int(d.json, "pid", 0), replicas);
	printf("start it again with: %s\n",
	       activated ? handover_start_command() : "aictl daemon attach");
	return CODE_OK;
}

static bool is_another(const cJSON *now, const cJSON *before)
{
	return js_int(now, "controller_pid", 0) != js_int(before, "controller_pid", 0) &&
	       strcmp(js_str(now, "mode", "starting"), "starting") != 0;
}

static void tell(const cJSON *now, const cJSON *before)
{
	const char *from = js_str(before, "version", "?"), *to = js_str(now, "version", "?");
	_cleanup_free_ char *replicas = running(now);

	if (strcmp(from, to) == 0)
		printf("aictld %lld: version %s as before, %s\n", (long long)js_int(now, "pid", 0),
		       to, replicas);
	else
		printf("aictld %lld: version %s, was %s, %s\n", (long long)js_int(now, "pid", 0),
		       to, from, replicas);
}

int handover_reexec(struct client *client, int64_t timeout_ms)
{
	const struct client_request rq = {.method = "GET", .path = "/v1/daemon"};
	int64_t deadline = clock_add(clock_mono_ms(), timeout_ms);
	_cleanup_reply_ struct reply before = {0}, r = {0};

	client_get(client, "/v1/daemon", &before);
	client_post(client, "/v1/daemon/reexec", NULL, &r);
	client_set_patience(client, PATIENCE_MS);
	while (clock_mono_ms() < deadline) {
		_cleanup_reply_ struct reply now = {0};
		_cleanup_err_ struct err *e = NULL;

		if (client_call(client, &rq, &now, &e) == 0 && now.status == 200 &&
		    is_another(now.json, before.json)) {
			tell(now.json, before.json);
			return CODE_OK;
		}
		poll(NULL, 0, LOOK_MS);
	}
	report_plain("timed out: the new aictld does not answer");
	return CODE_TIMEOUT;
}
