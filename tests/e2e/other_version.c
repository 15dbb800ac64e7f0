/* other_version: stands in for lib/version.c in programs of "another build". */
/* SPDX-License-Identifier: MIT */
#include "lib/version.h"

const char version_text[] = PKGVERSION "-other";
