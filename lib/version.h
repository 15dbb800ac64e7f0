/*
 * version: of this build. A variable and not a macro, so that the tests can link another build.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_VERSION_H
#define AICTL_LIB_VERSION_H

extern const char version_text[];

#endif
