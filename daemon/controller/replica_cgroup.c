/* replica_cgroup: see replica_cgroup.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica_cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/journal.h"
#include "daemon/controller/limits.h"
#include "daemon/controller/link.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_probe.h"
#include "daemon/controller/replica_unit.h"
#include "daemon/controller/service.h"
#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"

void replica_cgroup_send_limits(const struct replica *r)
{
	struct controller *c = r->service->controller;
	struct wire_key key = replica_key(r);
	struct wire_limits limits;

	if (!r->spec || !replica_sm_is_live(r->state) || replica_unit_is(r) ||
	    !(c->status.cgroup_can & ~(uint32_t)WIRE_CGROUP_TRACK))
		return; /* nothing runs, or nobody would keep them */
	limits_of(r->spec, &limits);
	buf_clear(&c->packet);
	wire_cgroup_encode_limits(&c->packet, &key, &limits);
	link_send(c->link, &c->packet);
}

const char *replica_cgroup_why_not(const struct controller *c)
{
	if (c->status.cgroup_can & WIRE_CGROUP_TRACK)
		return NULL;
	return "the daemon may use no cgroup2 tree here (see aictl doctor)";
}

/* Another number than those of the controller before, which aictld may still know. */
static uint32_t next_request(const struct replica *r)
{
	uint32_t n = (uint32_t)clock_mono_ms();

	return n == 0 || n == r->freeze_request ? n + 1 : n;
}

void replica_cgroup_freeze(struct replica *r, bool frozen)
{
	struct controller *c = r->service->controller;
	struct wire_key key = replica_key(r);

	if (!r->pid)
		return;
	r->freeze_asked = frozen;
	r->freeze_failed = false;
	r->freeze_request = next_request(r);
	buf_clear(&c->packet);
	wire_cgroup_encode_freeze(&c->packet, &key, frozen, r->freeze_request);
	link_send(c->link, &c->packet);
}

static void publish(const struct replica *r, const char *type, const char *reason,
		    const char *message)
{
	struct journal_entry *e = journal_next(r->service->controller->journal);

	memccpy(e->service, r->service->name, '\0', sizeof(e->service) - 1);
	e->replica = (int32_t)r->index;
	e->type = type;
	e->reason = reason;
	e->from = e->to = e->cause = NULL;
	snprintf(e->message, sizeof(e->message), "%s", message);
}

/* The request is over; r->freeze_asked is what it was for. */
static void take_answer(struct replica *r, const struct wire_slot *slot)
{
	bool freeze = r->freeze_asked;
	char message[128];

	if (!r->freeze_request || r->freeze_request != slot->freeze_request)
		return;
	r->freeze_request = 0;
	if (!slot->freeze_err)
		return;
	r->freeze_asked = r->frozen;
	r->freeze_failed = true;
	snprintf(message, sizeof(message), "cannot be %s: %s", freeze ? "frozen" : "thawed",
		 strerror(slot->freeze_err)); /* the loop's thread alone asks it */
	log_warn("replica=%s/%u %s", r->service->name, r->index, message);
	publish(r, "user", freeze ? "freeze_failed" : "thaw_failed", message);
	controller_touch(r->service);
}

/* Whether a live change of limits came into force. */
static void take_limits(struct replica *r, const struct wire_slot *slot)
{
	const char *failed = slot->limits_failed;
	char message[128];

	if (strcmp(r->limits_failed ? r->limits_failed : "", failed) == 0)
		return;
	mem_free(r->limits_failed);
	r->limits_failed = *failed ? mem_strdup(failed) : NULL;
	controller_touch(r->service);
	if (!*failed)
		return;
	snprintf(message, sizeof(message), REPLICA_LIMITS_MESSAGE, failed);
	log_warn("replica=%s/%u %s", r->service->name, r->index, message);
	publish(r, "limits", "limits_failed", message);
}

void replica_cgroup_take(struct replica *r, const struct wire_slot *slot)
{
	bool frozen = slot->frozen;

	r->tracked = slot->tracked;
	take_answer(r, slot);
	take_limits(r, slot);
	if (r->frozen == frozen || r->state == REPLICA_STOPPING)
		return; /* a stop has thawed it */
	r->frozen = frozen;
	controller_touch(r->service);
	if (frozen)
		replica_probe_pause(r);
	log_info("replica=%s/%u frozen=%s", r->service->name, r->index, frozen ? "yes" : "no");
	publish(r, frozen ? "frozen" : "thawed", frozen ? "user_freeze" : "user_thaw",
		frozen ? REPLICA_CGROUP_MESSAGE : "thawed by the user");
	if (frozen || !r->spec)
		return;
	if (!r->health.started) /* its start has as long as ever */
		r->health.begun_mono_ms = clock_mono_ms();
	replica_probe_resume(r);
}

/* ---- which it is ---- */

static bool path_of(const struct replica *r, char *path, size_t size)
{
	const struct controller *c = r->service->controller;
	const struct wire_key key = replica_key(r);

	return r->pid && r->tracked && c->status.cgroup_dir[0] &&
	       wire_cgroup_path(path, size, c->status.cgroup_dir, &key) == 0;
}

/* The id of a cgroup is its directory's inode number. */
uint64_t replica_cgroup_id(const struct replica *r)
{
	char path[WIRE_PATH_SIZE + 128];
	struct stat st;

	return path_of(r, path, sizeof(path)) && stat(path, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

static bool has(int dir_fd, uint64_t id, unsigned *left)
{
	DIR *dir = fdopendir(dir_fd); /* takes it */
	const struct dirent *e;
	bool found = false;

	if (!dir) {
		close(dir_fd);
		return false;
	}
	while (!found && *left > 0 && (e = readdir(dir))) {
		int fd;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		(*left)--;
		found = (uint64_t)e->d_ino == id;
		fd = found ? -1
			   : openat(dirfd(dir), e->d_name,
				    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			found = has(fd, id, left);
	}
	closedir(dir);
	return found;
}

bool replica_cgroup_has(const struct replica *r, uint64_t id)
{
	unsigned left = REPLICA_CGROUP_LOOKS;
	char path[WIRE_PATH_SIZE + 128];
	int fd;

	if (!path_of(r, path, sizeof(path)))
		return false;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && has(fd, id, &left);
}
