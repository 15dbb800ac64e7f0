/*
 * driver: main() of the fuzz programs where no libFuzzer is linked.
 *
 *   fuzz_manifest FILE...   runs each file once: to look at an input that failed
 *   fuzz_manifest           runs all seeds, then mutated ones for AICTL_FUZZ_SECONDS (default: 20
 *                           in a build with sanitizers; in others, which see little, none)
 *
 * The input under way is kept in NAME.input in the current directory, so it survives a crash, and
 * is removed at a good end. An input that takes ten seconds ends the program by SIGALRM.
 * AICTL_FUZZ_SEED repeats a run as far as the clock allows. It follows no coverage; that is what
 * clang -fsanitize=fuzzer with the same target is for.
 */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 65536
#define SEEDS_MAX 4096
#define SLOWEST_S 10
#ifdef AICTL_SANITIZED
#define SECONDS 20
#else
#define SECONDS 0
#endif

struct input {
	uint8_t data[INPUT_MAX];
	size_t len;
};

/* nftw has no argument for its callback. */
static struct {
	char *paths[SEEDS_MAX];
	size_t n;
} seeds;

static uint64_t next_random(uint64_t *state) /* splitmix64 */
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static size_t below(uint64_t *state, size_t n)
{
	return n ? (size_t)(next_random(state) % n) : 0;
}

/* A number from the environment, or fallback. */
static int64_t setting(const char *name, int64_t fallback)
{
	const char *text = getenv(name);
	struct err *e = NULL;

	if (text && parse_i64(text, 0, INT64_MAX, &fallback, &e) < 0) {
		fprintf(stderr, "%s: %s\n", name, err_msg(e));
		exit(2);
	}
	return fallback;
}

static int add_seed(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type == FTW_F && seeds.n < SEEDS_MAX) {
		seeds.paths[seeds.n] = mem_strdup(path);
		seeds.n += seeds.paths[seeds.n] != NULL;
	}
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool load(const char *path, struct input *in)
{
	_cleanup_free_ char *data = NULL;
	struct err *e = NULL;

	if (fs_read_file(path, 4 << 20, &data, &in->len, &e) < 0) {
		fprintf(stderr, "%s\n", err_msg(e));
		err_free(e);
		return false;
	}
	if (in->len > INPUT_MAX)
		in->len = INPUT_MAX;
	memcpy(in->data, data, in->len);
	return true;
}

/* Puts n bytes at a random place, over what is there or between. */
static void put(struct input *in, const void *p, size_t n, uint64_t *rng)
{
	size_t at = below(rng, in->len + 1);
	bool insert = below(rng, 4) != 0;

	if (n > INPUT_MAX - at)
		return;
	if (insert) {
		size_t tail = in->len - at;

		if (at + n + tail > INPUT_MAX)
			tail = INPUT_MAX - at - n;
		memmove(in->data + at + n, in->data + at, tail);
		in->len = at + n + tail;
	} else if (at + n > in->len) {
		in->len = at + n;
	}
	memcpy(in->data + at, p, n);
}

static void put_part(struct input *in, const struct input *from, uint64_t *rng)
{
	uint8_t copy[512];
	size_t at = below(rng, from->len), n = below(rng, sizeof(copy));

	if (n > from->len - at)
		n = from->len - at;
	memcpy(copy, from->data + at, n);
	put(in, copy, n, rng);
}

static void mutate(struct input *in, const struct input *other, size_t n_words, uint64_t *rng)
{
	uint8_t byte = (uint8_t)next_random(rng);
	size_t at, n;

	switch (below(rng, 6)) {
	case 0:
		put(in, &byte, 1, rng);
		break;
	case 1:
		at = below(rng, in->len);
		n = below(rng, in->len - at < 64 ? in->len - at : 64);
		memmove(in->data + at, in->data + at + n, in->len - at - n);
		in->len -= n;
		break;
	case 2:
		put_part(in, in, rng);
		break;
	case 3:
		put_part(in, other, rng);
		break;
	case 4:
		if (in->len)
			in->data[below(rng, in->len)] ^= (uint8_t)(1U << below(rng, 8));
		break;
	default:
		at = below(rng, n_words);
		if (n_words)
			put(in, fuzz_words[at], strlen(fuzz_words[at]), rng);
	}
}

/* Runs one input on memory of its exact size, so that a sanitizer sees reads behind it. */
static void run(const struct input *in, int keep_fd)
{
	static const struct itimerval limit = {.it_value = {.tv_sec = SLOWEST_S}};
	uint8_t *copy = malloc(in->len ? in->len : 1);

	if (!copy ||
	    (keep_fd >= 0 && (ftruncate(keep_fd, 0) < 0 || lseek(keep_fd, 0, SEEK_SET) < 0 ||
			      fs_write_all(keep_fd, in->data, in->len) < 0))) {
		fprintf(stderr, "cannot keep the input: %s\n", strerror(errno));
		exit(1);
	}
	memcpy(copy, in->data, in->len);
	setitimer(ITIMER_REAL, &limit, NULL);
	LLVMFuzzerTestOneInput(copy, in->len);
	setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
	free(copy);
}

static void fuzz(struct input *in, struct input *other, int keep_fd)
{
	int64_t seconds = setting("AICTL_FUZZ_SECONDS", SECONDS);
	uint64_t rng = (uint64_t)setting("AICTL_FUZZ_SEED", clock_wall_ms() & 0x7fffffff);
	int64_t end = clock_mono_ms() + seconds * 1000;
	size_t n_words = 0, runs = 0;

	if (nice(10) < 0) /* tests with deadlines run beside this */
		fprintf(stderr, "nice: %s\n", strerror(errno));
	while (fuzz_words[n_words])
		n_words++;
	printf("%s: %zu seeds, %llds of mutations, AICTL_FUZZ_SEED=%llu\n", fuzz_name, seeds.n,
	       (long long)seconds, (unsigned long long)rng);
	fflush(stdout);
	while (clock_mono_ms() < end) {
		if (!load(seeds.paths[below(&rng, seeds.n)], in) ||
		    !load(seeds.paths[below(&rng, seeds.n)], other))
			exit(1);
		for (size_t i = 1 + below(&rng, 8); i > 0; i--, runs++) {
			mutate(in, other, n_words, &rng);
			run(in, keep_fd);
		}
	}
	printf("%s: %zu inputs, nothing found\n", fuzz_name, runs);
}

static int run_seeds(struct input *in, struct input *other)
{
	const char *top = getenv("srcdir");
	_cleanup_free_ char *dir = mem_printf("%s/tests/fuzz/seeds/%s", top ? top : ".", fuzz_name);
	_cleanup_free_ char *keep = mem_printf("%s.input", fuzz_name);
	int keep_fd;

	if (!dir || !keep || nftw(dir, add_seed, 16, FTW_PHYS) < 0 || seeds.n == 0) {
		fprintf(stderr, "no seeds in %s\n", dir ? dir : "?");
		return 1;
	}
	qsort(seeds.paths, seeds.n, sizeof(seeds.paths[0]), by_path);
	keep_fd = open(keep, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (keep_fd < 0) {
		fprintf(stderr, "%s: %s\n", keep, strerror(errno));
		return 1;
	}
	for (size_t i = 0; i < seeds.n; i++) {
		if (!load(seeds.paths[i], in))
			return 1;
		run(in, keep_fd);
	}
	fuzz(in, other, keep_fd);
	close(keep_fd);
	unlink(keep);
	while (seeds.n > 0)
		mem_free(seeds.paths[--seeds.n]);
	return 0;
}

int main(int argc, char **argv)
{
	struct input *in = calloc(1, sizeof(*in)), *other = calloc(1, sizeof(*other));
	int rc = 0;

	if (!in || !other)
		return 1;
	if (argc == 1)
		rc = run_seeds(in, other);
	for (int i = 1; i < argc; i++) {
		if (load(argv[i], in))
			run(in, -1);
		else
			rc = 1;
	}
	free(in);
	free(other);
	return rc;
}
