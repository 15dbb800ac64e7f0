/*
 * fuzz_logidx: any bytes as an index and its segment (u16 length of the index, the index, the
 * segment), with a good segment behind it. Reading gives no byte twice and every tail is as long as
 * it can be; following does not hang; the logger takes the incarnation up again and stores what
 * comes, damaged or not.
 */
/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/logger/intent.h"
#include "daemon/logger/segment.h"
#include "daemon/logger/store.h"
#include "lib/fs.h"
#include "lib/log.h"
#include "lib/logidx.h"
#include "lib/logview.h"
#include "lib/mem.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/logcheck.h"

#define INC "0000000003e8aaaaaaaaaaaaaaaaaaaa"

const char fuzz_name[] = "logidx";

const char *const fuzz_words[] = {"AICTLIDX", "\x01",	"\x02", "\x18", "\n",	  "x\n", "\xff",
				  "\x7f",     "\x01\n", "\x03", INC,	"line\n", NULL};

/* One directory for all inputs, removed at the end. */
static struct {
	char dir[48], replica[80];
	int null;
} place;

static void remove_place(void)
{
	logcheck_remove(place.dir);
}

static void make_place(void)
{
	char path[64];

	snprintf(place.dir, sizeof(place.dir), "%s/aictl-fuzz-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(place.dir))
		abort();
	atexit(remove_place);
	snprintf(path, sizeof(path), "%s/svc", place.dir);
	snprintf(place.replica, sizeof(place.replica), "%s/0", path);
	if (mkdir(path, 0700) < 0 || mkdir(place.replica, 0700) < 0)
		abort();
	place.null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	log_open("fuzz", place.null, LOG_LVL_DEBUG);
}

static void put_file(uint32_t seq, enum logidx_kind kind, const void *p, size_t n)
{
	char path[160], name[LOGIDX_NAME_SIZE];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", place.replica, logidx_name(name, INC, seq, kind));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || fs_write_all(fd, p, n) < 0)
		abort();
	close(fd);
}

static void remove_file(uint32_t seq, enum logidx_kind kind)
{
	char path[160], name[LOGIDX_NAME_SIZE];

	snprintf(path, sizeof(path), "%s/%s", place.replica, logidx_name(name, INC, seq, kind));
	unlink(path);
}

static void put_good(void)
{
	struct logidx_header h = {.incarnation = INC, .seq = 2};
	struct logidx_entry e = {0, 5, LOGIDX_STDOUT, 2000};
	uint8_t raw[LOGIDX_HEADER_SIZE + LOGIDX_ENTRY_SIZE];

	logidx_encode_header(&h, raw);
	logidx_encode_entry(&e, raw + LOGIDX_HEADER_SIZE);
	put_file(2, LOGIDX_IDX, raw, sizeof(raw));
	put_file(2, LOGIDX_LOG, "good\n", 5);
}

struct seen {
	size_t lines, bytes;
	bool good, new; /* lines that end so */
};

static struct seen look(int64_t tail, bool raw, bool follow)
{
	struct logview_opts o = {.log_dir = place.dir,
				 .service = "svc",
				 .index = -1,
				 .tail = tail,
				 .raw = raw,
				 .streams = raw ? 14 : 0, /* with notes */
				 .follow = follow};
	struct seen s = {0};
	struct logview_line l;
	struct logview *v;

	if (logview_open(&o, &v, NULL) < 0)
		abort();
	for (int i = 0; i < 2; i++) /* once more when it has run dry */
		while (logview_next(v, &l, NULL) == 1) {
			s.lines++;
			s.bytes += l.len;
			s.good |= l.len >= 4 && memcmp(l.text + l.len - 4, "good", 4) == 0;
			s.new |= l.len >= 3 && memcmp(l.text + l.len - 3, "new", 3) == 0;
			if (!raw && memchr(l.text, '\n', l.len))
				abort();
		}
	logview_free(v);
	return s;
}

static int has_o(void *user, const char *text, size_t n, struct err **reterr)
{
	(void)user;
	(void)reterr;
	return memchr(text, 'o', n) != NULL;
}

/* Lines of a choice are lines of the whole, and few open files change nothing. */
static void check_choice(size_t log_len)
{
	struct logview_opts o = {.log_dir = place.dir,
				 .service = "svc",
				 .index = -1,
				 .tail = (int64_t)(log_len % 7) - 1,
				 .raw = log_len % 2,
				 .streams = (uint32_t)log_len % 16,
				 .since_ms = log_len % 3 ? 0 : 1500,
				 .until_ms = log_len % 5 ? 0 : 2500,
				 .filter = log_len % 4 ? NULL : has_o,
				 .files_max = 1};
	struct logview_line l;
	struct logview *v;

	if (logview_open(&o, &v, NULL) < 0)
		abort();
	while (logview_next(v, &l, NULL) == 1) {
		if ((o.since_ms && l.wall_ms < o.since_ms) ||
		    (o.until_ms && l.wall_ms > o.until_ms) ||
		    (o.streams && !(o.streams & 1U << l.stream)) ||
		    (o.filter && !memchr(l.text, 'o', l.len)))
			abort();
	}
	logview_free(v);
}

static void check_view(size_t log_len)
{
	struct seen all = look(-1, false, false), raw = look(-1, true, false);

	if (raw.bytes != log_len + 5 || all.bytes > log_len + 5 + 6 * all.lines || !all.good)
		abort();
	for (int64_t n = 0; n < 12; n = n * 2 + 1) {
		struct seen some = look(n, false, false);

		if (some.lines > (size_t)n || some.lines > all.lines)
			abort();
	}
	check_choice(log_len);
	if (log_len % 8 == 0) /* inotify is slow to take down */
		look(3, true, true);
}

/* The incarnation comes back with this segment as its newest: what it writes is stored. */
static void check_writer(uint32_t stream)
{
	struct segment s = {.service = "svc", .incarnation = INC};
	uint64_t word = 0;
	struct store st;
	int p[2];

	remove_file(2, LOGIDX_LOG);
	remove_file(2, LOGIDX_IDX);
	if (store_init(&st, place.dir) < 0 || pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
		abort();
	st.keep_free = 1;
	s.word = &word;
	intent_set(&word, INC, stream, 3);
	segment_init(&s, 4096, 5);
	if (segment_recover(&s, &st) < 0 || write(p[1], "new\n", 4) != 4 ||
	    segment_take(&s, &st, p[0], LOGIDX_STDERR) != 4)
		abort();
	segment_end(&s, &st);
	if (!look(-1, false, false).new || look(1, false, false).lines > 1)
		abort();
	close(p[0]);
	close(p[1]);
	store_done(&st);
	for (uint32_t seq = 1; seq < 4; seq++) {
		remove_file(seq, LOGIDX_LOG);
		remove_file(seq, LOGIDX_IDX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t idx_len;

	if (size < 2)
		return 0;
	if (place.dir[0] == '\0')
		make_place();
	idx_len = (size_t)data[0] + 256 * (size_t)data[1];
	if (idx_len > size - 2)
		idx_len = size - 2;
	put_file(1, LOGIDX_IDX, data + 2, idx_len);
	put_file(1, LOGIDX_LOG, data + 2 + idx_len, size - 2 - idx_len);
	put_good();
	check_view(size - 2 - idx_len);
	check_writer(1 + data[0] % 2);
	return 0;
}
