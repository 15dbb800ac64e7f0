/*
 * completion_scripts: the files of packaging/completion as lines of text, ends of line included,
 * ending with NULL. completion_scripts.c is made of them by the Makefile.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_COMPLETION_SCRIPTS_H
#define AICTL_CLI_COMPLETION_SCRIPTS_H

extern const char *const completion_scripts_bash[];
extern const char *const completion_scripts_zsh[];
extern const char *const completion_scripts_fish[];

#endif
