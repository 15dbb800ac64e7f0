/* manifests: see manifests.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/manifests.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor/supervisor.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/sock.h"

#define AGAIN_MS 30000 /* a controller that dies so soon after RELOAD gets it again */
#define RETRY_MS 200

/* Tells the reader that the set is incomplete. True when it is told, or nobody listens. */
static bool send_cut(struct manifests *m)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "%s%creading the directory was cut short", m->argv[2],
			 '\0');

	if (n >= (int)sizeof(text))
		n = (int)sizeof(text) - 1;
	return send(m->writer_fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 ||
	       errno != EAGAIN;
}

static void on_timer(void *user)
{
	struct supervisor *sup = user;
	struct manifests *m = &sup->manifests;

	if (child_is_alive(&m->child)) {
		if (m->peer_fd >= 0) { /* nobody reads yet */
			loop_timer_arm(&sup->loop, &m->timer,
				       clock_mono_ms() + MANIFESTS_DEADLINE_MS);
			return;
		}
		log_warn("manifests: reading %s hangs, killing pid=%d", m->argv[2], m->child.pid);
		child_signal(&m->child, SIGKILL);
		return;
	}
	if (m->writer_fd >= 0 && !send_cut(m)) {
		loop_timer_arm(&sup->loop, &m->timer, clock_mono_ms() + RETRY_MS);
		return;
	}
	mem_closep(&m->writer_fd);
	link_flush(&sup->controller.link); /* another one may be due */
}

static void on_exit_(void *user, const siginfo_t *si)
{
	struct supervisor *sup = user;
	struct manifests *m = &sup->manifests;

	loop_timer_disarm(&sup->loop, &m->timer);
	if (si->si_code == CLD_EXITED && si->si_status == 0)
		mem_closep(&m->writer_fd);
	on_timer(sup);
}

void manifests_init(struct supervisor *sup)
{
	struct manifests *m = &sup->manifests;

	m->peer_fd = m->writer_fd = -1;
	m->argv[0] = (char *)"aictld";
	m->argv[1] = (char *)"--open-manifests";
	m->argv[2] = sup->opt->paths.manifests;
	m->child.sup = sup;
	m->child.user = sup;
	m->child.on_exit = on_exit_;
	m->timer = (struct loop_timer){.fn = on_timer, .user = sup};
	m->due = m->argv[2] != NULL;
}

void manifests_done(struct supervisor *sup)
{
	mem_closep(&sup->manifests.peer_fd);
	mem_closep(&sup->manifests.writer_fd);
}

void manifests_request(struct supervisor *sup)
{
	if (!sup->opt->paths.manifests)
		return;
	sup->manifests.due = true;
	link_flush(&sup->controller.link);
}

void manifests_connected(struct supervisor *sup)
{
	struct manifests *m = &sup->manifests;

	if (m->sent_mono_ms != 0 && clock_mono_ms() - m->sent_mono_ms < AGAIN_MS)
		m->due = true;
}

static int start(struct supervisor *sup)
{
	struct manifests *m = &sup->manifests;
	struct spawn_job *j = &m->job.spawn;
	int pair[2], r = sock_pair(pair);

	if (r < 0)
		return r;
	*j = (struct spawn_job){.exec_fd = sup->self_fd,
				.argv = m->argv,
				.envp = sup->environ_,
				.cwd = "/",
				.umask = 077,
				.n_fds = 4,
				.cell = &m->child.own_cell};
	j->fds[0] = j->fds[1] = sup->spawner.null_fd;
	j->fds[2] = sup->own_log_write_fd;
	j->fds[3] = pair[1];
	r = child_start(&m->child, &m->job);
	if (r < 0) {
		close(pair[0]);
		close(pair[1]);
		return r;
	}
	m->peer_fd = pair[0];
	m->writer_fd = pair[1];
	loop_timer_arm(&sup->loop, &m->timer, clock_mono_ms() + MANIFESTS_DEADLINE_MS);
	return 0;
}

void manifests_flush(struct supervisor *sup)
{
	struct manifests *m = &sup->manifests;
	struct link *l = &sup->controller.link;

	if (!m->due || sup->mode == WIRE_MODE_SHUTDOWN)
		return;
	if (m->peer_fd < 0) {
		int r;

		if (child_is_alive(&m->child) || m->writer_fd >= 0)
			return; /* the end of the former one flushes again */
		r = start(sup);
		if (r < 0) {
			errno = -r;
			log_error("manifests: cannot start their reader: %m");
			m->due = false;
			return;
		}
	}
	buf_clear(&l->out);
	wire_encode_empty(&l->out, WIRE_RELOAD);
	if (!link_send(l, &m->peer_fd, 1))
		return;
	mem_closep(&m->peer_fd);
	m->due = false;
	notify_reloaded(sup);
	m->sent_mono_ms = clock_mono_ms();
	if (child_is_alive(&m->child))
		loop_timer_arm(&sup->loop, &m->timer, m->sent_mono_ms + MANIFESTS_DEADLINE_MS);
}
