/*
 * schema_brief: elements of lists that may be written as one text, as Compose has them:
 * "./data:/data:ro", "/dev/kvm". What each part may be is said by the rows of the long form, whose
 * checks are asked here too.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_SCHEMA_BRIEF_H
#define AICTL_LIB_SCHEMA_BRIEF_H

struct err;

/* Fill a struct volume_spec, a struct device_spec (zeroed). Errors have no place. */
int schema_brief_volume(const char *text, void *element, struct err **reterr);
int schema_brief_device(const char *text, void *element, struct err **reterr);

#endif
