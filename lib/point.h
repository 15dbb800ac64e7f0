/*
 * point: places where a test stops a process and kills it: "killed here, does everything recover?"
 *
 * Only in a build with --enable-sanitizers or --enable-points; else nothing is left of them. A test
 * arms a point by making a file of its name in $AICTL_POINTS; the first process to come by removes
 * it and stops itself. `PROGRAM --points` lists the points of a program, from the code itself.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_POINT_H
#define AICTL_LIB_POINT_H

#include <stdbool.h>

#ifdef AICTL_POINTS

#define POINT_NAME_SIZE 64 /* at least its alignment */

void point_pass(const char *name);
/* Prints the list, when that is what argv asks for. */
bool point_list(int argc, char **argv);

/* Records of one size in a section of their own: no relocations, so the list is a plain array. */
#define POINT(name)                                                                                \
	do {                                                                                       \
		static const char point_[POINT_NAME_SIZE]                                          \
			__attribute__((section("aictl_points"), used, aligned(POINT_NAME_SIZE))) = \
				name;                                                              \
		point_pass(point_);                                                                \
	} while (0)

#else

#define POINT(name) ((void)0)

static inline bool point_list(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return false;
}

#endif
#endif
