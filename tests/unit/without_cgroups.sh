#!/bin/sh
# without_cgroups.sh: runs the tests of aictld a second time, for machines where no cgroup2 tree is
# writable: services are tracked by the mark in their environment.
# SPDX-License-Identifier: MIT
RIG_CGROUP=none
export RIG_CGROUP
for test in test_aictld test_aictld_context test_adopt; do
	"${top_builddir:-.}/tests/unit/$test" || exit
done
