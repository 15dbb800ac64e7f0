/* commands: see commands.h. The order is that of the help. */
/* SPDX-License-Identifier: MIT */
#include "cli/commands.h"

#include <string.h>

#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/suggest.h"
#include "lib/mem.h"

static const struct command *const table[] = {
	&cmd_init_command,     &cmd_import_command,	&cmd_up_command,       &cmd_down_command,
	&cmd_plan_command,     &cmd_apply_command,	&cmd_validate_command, &cmd_config_command,
	&cmd_explain_command,  &cmd_graph_command,	&cmd_ps_command,       &cmd_top_command,
	&cmd_describe_command, &cmd_why_command,	&cmd_logs_command,     &cmd_events_command,
	&cmd_wait_command,     &cmd_check_command,	&cmd_start_command,    &cmd_stop_command,
	&cmd_restart_command,  &cmd_reload_command,	&cmd_kill_command,     &cmd_freeze_command,
	&cmd_thaw_command,     &cmd_hold_command,	&cmd_release_command,  &cmd_reset_command,
	&cmd_scale_command,    &cmd_autoscale_command,	&cmd_delete_command,   &cmd_exec_command,
	&cmd_rollout_command,  &cmd_doctor_command,	&cmd_plugins_command,  &cmd_daemon_command,
	&cmd_version_command,  &cmd_completion_command, &cmd_help_command,
};

size_t commands_count(void)
{
	return ARRAY_SIZE(table);
}

const struct command *commands_at(size_t i)
{
	return table[i];
}

const struct command *commands_find(const char *name)
{
	/* For the shells' scripts: no help lists it. */
	if (strcmp(name, cmd_complete_command.name) == 0)
		return &cmd_complete_command;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (strcmp(table[i]->name, name) == 0)
			return table[i];
		for (const char *const *alias = table[i]->aliases; *alias; alias++) {
			if (strcmp(*alias, name) == 0)
				return table[i];
		}
	}
	return NULL;
}

const char *commands_nearest(const char *name)
{
	struct suggest s = {.wanted = name};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		suggest_offer(&s, table[i]->name);
		for (const char *const *alias = table[i]->aliases; *alias; alias++)
			suggest_offer(&s, *alias);
	}
	return s.best;
}
