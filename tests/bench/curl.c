/*
 * curl: the floor of the metric `probes`: one libcurl multi loop that asks the same URL for N
 * targets, each once a period at its own time, always on a new connection, and does nothing else.
 * Usage: curl URL N PERIOD_MS; runs until it is killed.
 *
 * SPDX-License-Identifier: MIT
 */
#include <curl/curl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/parse.h"

struct target {
	CURL *easy;
	int64_t at_ms;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
	(void)data;
	(void)user;
	return size * n;
}

static CURL *new_easy(const char *url, struct curl_slist *fields)
{
	CURL *e = curl_easy_init();

	curl_easy_setopt(e, CURLOPT_URL, url);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, 2000L);
	curl_easy_setopt(e, CURLOPT_USERAGENT, "bare");
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, fields);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	return e;
}

/* Starts what is due, in order; returns how long nothing will be. */
static int start_due(CURLM *multi, struct target *t, int64_t n, int64_t *next, int64_t period_ms)
{
	int64_t now = now_ms();

	while (t[*next].at_ms <= now) {
		t[*next].at_ms += period_ms;
		curl_multi_add_handle(multi, t[*next].easy);
		*next = (*next + 1) % n;
	}
	return (int)(t[*next].at_ms - now);
}

int main(int argc, char **argv)
{
	int64_t n = 0, next = 0;
	int64_t period_ms = 0, begin = now_ms();
	struct curl_slist *fields = curl_slist_append(NULL, "Connection: close");
	struct target *t;
	CURLM *multi;

	if (argc != 4 || parse_i64(argv[2], 1, 1000000, &n, NULL) < 0 ||
	    parse_i64(argv[3], 1, 1000000000, &period_ms, NULL) < 0 ||
	    !(t = calloc((size_t)n, sizeof(*t)))) {
		fprintf(stderr, "usage: curl URL N PERIOD_MS\n");
		return 2;
	}
	curl_global_init(CURL_GLOBAL_NOTHING);
	multi = curl_multi_init();
	for (int64_t i = 0; i < n; i++)
		t[i] = (struct target){new_easy(argv[1], fields), begin + period_ms * i / n};
	for (;;) {
		int running, left, wait = start_due(multi, t, n, &next, period_ms);
		CURLMsg *m;

		curl_multi_perform(multi, &running);
		while ((m = curl_multi_info_read(multi, &left)))
			curl_multi_remove_handle(multi, m->easy_handle);
		curl_multi_poll(multi, NULL, 0, wait, NULL);
	}
}
