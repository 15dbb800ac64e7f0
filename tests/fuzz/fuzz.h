/*
 * fuzz: what a fuzz target gives to the driver (driver.c). A target is one function over one input;
 * anything but a return is a bug found.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_TESTS_FUZZ_H
#define AICTL_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* The name that libFuzzer wants, so that `clang -fsanitize=fuzzer` can drive a target as well. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* "manifest": the seeds are tests/fuzz/seeds/NAME. */
extern const char fuzz_name[];
/* Words that inputs of this kind are made of, NULL-terminated. */
extern const char *const fuzz_words[];

#endif
