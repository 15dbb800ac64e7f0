/* version: see version.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/version.h"

const char version_text[] = PKGVERSION;
