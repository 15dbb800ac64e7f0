/*
 * sized: structures of aictl/plugin.h between sides of different age. Each begins with its
 * struct_size. A plugin's is copied into one of ours before anything is read: what an older one
 * lacks is 0, what a younger one has besides is left out.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_RUNTIME_SIZED_H
#define AICTL_RUNTIME_SIZED_H

#include <stdbool.h>
#include <stddef.h>

/* Of version 1 of struct type, whose last member was last: what each side has at least. These never
 * change, whatever is added to the structure. */
#define SIZED_FIRST(type, last) (offsetof(struct type, last) + sizeof(((struct type *)NULL)->last))

/* False: there is none, or it is shorter than first; out is zero then. out's struct_size is out_size
 * afterwards. */
bool sized_take(void *out, size_t out_size, const void *in, size_t first);

#endif
