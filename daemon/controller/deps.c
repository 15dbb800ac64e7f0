/* deps: see deps.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/deps.h"

#include <string.h>

#include "lib/clock.h"
#include "lib/manifest.h"

bool deps_holds(const struct depend_spec *spec, const struct deps_fact *fact)
{
	switch ((enum depend_condition)spec->condition) {
	case DEPEND_STARTED:
		return fact->started || fact->completed; /* a task that is over has been started */
	case DEPEND_READY:
		return fact->ready;
	case DEPEND_COMPLETED:
		return fact->completed;
	}
	return false;
}

const char *deps_condition_name(const struct depend_spec *spec)
{
	static const char *const names[] = {"started", "ready", "completed"};

	return (uint64_t)spec->condition < sizeof(names) / sizeof(names[0]) ? names[spec->condition]
									    : "unknown";
}

/* Without a service of that name nothing can be waited for, if it may be missing. */
static enum deps_kind judge_one(const struct depend_spec *spec, const struct deps_fact *fact,
				int64_t since_ms, int64_t now_ms)
{
	bool late = spec->timeout_ms > 0 && now_ms >= clock_add(since_ms, spec->timeout_ms);

	if (deps_holds(spec, fact) || (!spec->required && (late || !fact->known)))
		return DEPS_OPEN;
	return late ? DEPS_FAILED : DEPS_HELD;
}

struct deps_verdict deps_judge(const struct depend_spec *specs, const struct deps_fact *facts,
			       size_t n, int64_t since_mono_ms, int64_t now_mono_ms)
{
	struct deps_verdict v = {.kind = DEPS_OPEN, .wake_mono_ms = INT64_MAX};

	for (size_t i = 0; i < n; i++) {
		enum deps_kind kind = judge_one(&specs[i], &facts[i], since_mono_ms, now_mono_ms);
		int64_t due_ms = clock_add(since_mono_ms, specs[i].timeout_ms);

		if (kind == DEPS_HELD && specs[i].timeout_ms > 0 && due_ms < v.wake_mono_ms)
			v.wake_mono_ms = due_ms;
		if (kind > v.kind) {
			v.kind = kind;
			v.which = i;
		}
	}
	return v;
}

void deps_life_ended(uint64_t *life, unsigned others, unsigned wanted, bool younger)
{
	if (younger || others < (wanted ? wanted : 1))
		*life += *life & 1 ? 2 : 1;
}

bool deps_life_settled(uint64_t *life)
{
	if ((*life & 1) == 0)
		return false;
	*life += 1;
	return true;
}

/* FNV-1a */
static uint32_t mix(uint32_t hash, const void *data, size_t n)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ p[i]) * UINT32_C(16777619);
	return hash;
}

#define MIX_BEGIN UINT32_C(2166136261)

uint32_t deps_life_mark(const char *name, uint64_t life)
{
	uint64_t generation = (life + 1) >> 1;
	uint32_t hash = mix(MIX_BEGIN, name, strlen(name) + 1);

	hash = mix(hash, &generation, sizeof(generation));
	hash = (hash >> 24) ^ (hash & 0xffffff); /* short enough for 64 of them in a note */
	return hash ? hash : 1;
}

uint32_t deps_names_mark(const struct depend_spec *specs, size_t n)
{
	uint32_t hash = MIX_BEGIN;

	for (size_t i = 0; i < n; i++)
		hash = mix(hash, specs[i].name, strlen(specs[i].name) + 1);
	return hash ? hash : 1;
}
