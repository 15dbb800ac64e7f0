/* intr: see intr.h. The handlers do nothing but write(2) and _exit(2). */
/* SPDX-License-Identifier: MIT */
#include "cli/intr.h"

#include <signal.h>
#include <unistd.h>

#include "cli/cli.h"
#include "lib/mem.h"

static void end_quietly(int sig)
{
	(void)sig;
	_exit(CODE_INTERRUPTED);
}

static void end_with_note(int sig)
{
	static const char note[] =
		"\ninterrupted: the change goes on in the daemon (see: aictl ps)\n";

	(void)sig;
	if (write(STDERR_FILENO, note, sizeof(note) - 1) < 0) {
		/* nothing can be said */
	}
	_exit(CODE_INTERRUPTED);
}

static void install(void (*handler)(int))
{
	struct sigaction sa = {.sa_handler = handler};

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

void intr_quiet(void)
{
	install(end_quietly);
}

void intr_change(void)
{
	install(end_with_note);
}
