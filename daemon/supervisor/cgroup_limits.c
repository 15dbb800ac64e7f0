/* cgroup_limits: see cgroup_limits.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/cgroup_limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CPU_PERIOD_US 100000
#define CPU_QUOTA_MIN_US 1000 /* the kernel's */
#define WEIGHT_DEFAULT 100

struct list {
	struct cgroup_limit *out;
	unsigned n;
	bool fresh;
};

/* The next entry's text, or NULL when there is nothing to say about the file. */
static char *add(struct list *l, const char *file, bool limited)
{
	if (l->fresh && !limited)
		return NULL;
	l->out[l->n].file = file;
	return l->out[l->n++].value;
}

static void add_max(struct list *l, const char *file, uint64_t value, bool limited)
{
	char *text = add(l, file, limited);

	if (text && limited)
		snprintf(text, WIRE_CPUSET_SIZE, "%" PRIu64, value);
	else if (text)
		snprintf(text, WIRE_CPUSET_SIZE, "max");
}

static void add_weight(struct list *l, const char *file, uint32_t value)
{
	char *text = add(l, file, value != 0);

	if (text)
		snprintf(text, WIRE_CPUSET_SIZE, "%u", value ? value : WEIGHT_DEFAULT);
}

static void add_cpu_max(struct list *l, uint32_t milli)
{
	uint64_t quota = (uint64_t)milli * (CPU_PERIOD_US / 1000);
	char *text = add(l, "cpu.max", milli != 0);

	if (quota < CPU_QUOTA_MIN_US)
		quota = CPU_QUOTA_MIN_US;
	if (text && milli)
		snprintf(text, WIRE_CPUSET_SIZE, "%" PRIu64 " %d", quota, CPU_PERIOD_US);
	else if (text)
		snprintf(text, WIRE_CPUSET_SIZE, "max %d", CPU_PERIOD_US);
}

static void add_memory(struct list *l, const struct wire_limits *m)
{
	char *text;

	add_max(l, "memory.max", m->memory_max, m->memory_max != 0);
	add_max(l, "memory.high", m->memory_high, m->memory_high != 0);
	add_max(l, "memory.swap.max", m->swap_max, m->has_swap_max);
	text = add(l, "memory.oom.group", m->oom_group);
	if (text)
		snprintf(text, WIRE_CPUSET_SIZE, "%d", m->oom_group ? 1 : 0);
}

unsigned cgroup_limits_fill(struct cgroup_limit out[CGROUP_LIMITS_MAX], const struct wire_limits *m,
			    uint32_t can, bool fresh)
{
	struct list l = {.out = out, .fresh = fresh};
	char *text;

	if (can & WIRE_CGROUP_MEMORY)
		add_memory(&l, m);
	if (can & WIRE_CGROUP_CPU) {
		add_cpu_max(&l, m->cpu_milli);
		add_weight(&l, "cpu.weight", m->cpu_weight);
	}
	if (can & WIRE_CGROUP_IO)
		add_weight(&l, "io.weight", m->io_weight);
	if (can & WIRE_CGROUP_PIDS)
		add_max(&l, "pids.max", m->pids_max, m->pids_max != 0);
	text = can & WIRE_CGROUP_CPUSET ? add(&l, "cpuset.cpus", m->cpuset[0] != '\0') : NULL;
	if (text)
		snprintf(text, WIRE_CPUSET_SIZE, "%s", m->cpuset);
	return l.n;
}

bool cgroup_limits_equal(const struct wire_limits *a, const struct wire_limits *b)
{
	return a->memory_max == b->memory_max && a->memory_high == b->memory_high &&
	       a->swap_max == b->swap_max && a->has_swap_max == b->has_swap_max &&
	       a->oom_group == b->oom_group && a->cpu_milli == b->cpu_milli &&
	       a->cpu_weight == b->cpu_weight && a->io_weight == b->io_weight &&
	       a->pids_max == b->pids_max && strcmp(a->cpuset, b->cpuset) == 0;
}
