/*
 * cmd: the commands, each defined in its cmd_*.c and listed in commands.c. The ps family shares
 * its options by the same file.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_CMD_H
#define AICTL_CLI_CMD_H

struct command;

extern const struct command cmd_up_command, cmd_down_command, cmd_apply_command,
	cmd_validate_command, cmd_ps_command, cmd_describe_command, cmd_logs_command,
	cmd_events_command, cmd_wait_command, cmd_start_command, cmd_stop_command,
	cmd_restart_command, cmd_scale_command, cmd_delete_command, cmd_daemon_command,
	cmd_exec_command, cmd_doctor_command, cmd_version_command, cmd_help_command,
	cmd_complete_command, cmd_completion_command, cmd_plan_command, cmd_kill_command,
	cmd_reload_command, cmd_reset_command, cmd_rollout_command, cmd_config_command,
	cmd_explain_command, cmd_graph_command, cmd_init_command, cmd_freeze_command,
	cmd_thaw_command, cmd_hold_command, cmd_release_command, cmd_check_command, cmd_why_command,
	cmd_top_command, cmd_autoscale_command, cmd_import_command, cmd_plugins_command;

#endif
