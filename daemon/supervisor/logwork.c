/* logwork: see logwork.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/logwork.h"

#include "daemon/supervisor/link.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/mem.h"

void logwork_done(struct supervisor *sup)
{
	mem_free(sup->logwork.work);
	sup->logwork.work = NULL;
}

int logwork_ask(struct supervisor *sup, const struct wire_packet *p)
{
	struct logwork *w = &sup->logwork;
	int r;

	if (!w->work)
		w->work = mem_alloc(sizeof(*w->work));
	if (!w->work) /* no answer is one, too */
		return 0;
	r = wire_logs_decode_work(p->body, p->len, w->work);
	w->work_due = r == 0;
	link_flush(&sup->logger.link);
	return r;
}

int logwork_answer(struct supervisor *sup, const struct wire_packet *p)
{
	struct logwork *w = &sup->logwork;
	int r = wire_logs_decode_done(p->body, p->len, &w->done);

	w->done_due = r == 0;
	link_flush(&sup->controller.link);
	return r;
}

bool logwork_send_work(struct link *l)
{
	struct logwork *w = &l->sup->logwork;

	if (!w->work_due)
		return true;
	buf_clear(&l->out);
	wire_logs_encode_work(&l->out, w->work);
	w->work_due = !link_send(l, NULL, 0);
	return !w->work_due;
}

bool logwork_send_done(struct link *l)
{
	struct logwork *w = &l->sup->logwork;

	if (!w->done_due)
		return true;
	buf_clear(&l->out);
	wire_logs_encode_done(&l->out, &w->done);
	w->done_due = !link_send(l, NULL, 0);
	return !w->done_due;
}
