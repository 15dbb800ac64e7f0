/*
 * probe: the service that every peer supervises. No libc, static, a few KiB: its first instructions
 * read CLOCK_MONOTONIC, so the recorded time is as close to "first instruction of the new process"
 * as user space gets.
 *
 *   probe beat TABLE ID [INDEX]   records its start, then waits for ever
 *   probe exit TABLE ID [INDEX]   records its start, then exits with status 1
 *   probe line TABLE ID [INDEX]   records its start, then writes a numbered line of sixteen bytes
 *                                 every ten milliseconds for ever, also when that fails
 *   probe burst:BYTES:SIZE ...    records its start, waits until begin_ns is made something else than
 *                                 0, then writes so many bytes of lines of a hundred, SIZE at once
 *   probe rate:BYTES:SECONDS ...  the same, BYTES a second, a hundredth of that every ten
 *                                 milliseconds
 *   probe stamp:MS TABLE ID ...   records its start, then writes the time as a line every MS
 *                                 milliseconds for ever
 *
 * TABLE is a file on tmpfs, one struct beat per ID + INDEX; beats.py has the same layout. No socket
 * and no reply: a thousand starting probes never wait for the bench.
 *
 * SPDX-License-Identifier: MIT
 */
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/time.h>

struct beat {
	unsigned long start_ns, pid, starts;
	unsigned long lines, failed;	       /* written whole, and not */
	unsigned long begin_ns, end_ns, bytes; /* of burst and rate */
};

#define LINE 100
#define WRITE_MAX (654 * LINE) /* what a pipe of 64 KiB has room for */
#define TICK_NS 10000000L
#define TICKS 100 /* in a second */

#if defined(__x86_64__)
static long call(long number, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;

	__asm__ volatile("syscall"
			 : "+a"(number)
			 : "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return number;
}
__asm__(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call probe_main");
#elif defined(__aarch64__)
static long call(long number, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c, x3 __asm__("x3") = d;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}
__asm__(".globl _start\n_start: mov x29, #0\n mov x0, sp\n bl probe_main");
#endif

static unsigned long number(const char *text)
{
	unsigned long n = 0;

	while (*text >= '0' && *text <= '9')
		n = n * 10 + (unsigned long)(*text++ - '0');
	return n;
}

static unsigned long now_ns(void)
{
	struct __kernel_timespec t;

	call(__NR_clock_gettime, CLOCK_MONOTONIC, (long)&t, 0, 0);
	return (unsigned long)t.tv_sec * 1000000000UL + (unsigned long)t.tv_nsec;
}

static void write_line(struct beat *beat)
{
	static char line[16];
	unsigned long n = beat->lines + beat->failed;

	for (int i = 14; i >= 0; i--, n /= 10)
		line[i] = (char)('0' + n % 10);
	line[15] = '\n';
	if (call(__NR_write, 1, (long)line, sizeof(line), 0) == sizeof(line))
		beat->lines++;
	else
		beat->failed++;
}

/* The number behind the n-th colon. */
static unsigned long parameter(const char *part, int n)
{
	for (; *part && n > 0; part++)
		n -= *part == ':';
	return number(part);
}

static void sleep_ns(long ns)
{
	const struct __kernel_timespec t = {.tv_sec = ns / 1000000000L,
					    .tv_nsec = ns % 1000000000L};

	if (ns > 0)
		call(__NR_nanosleep, (long)&t, 0, 0, 0);
}

/* Whole lines, wherever a write may have ended. False when that fails. */
static int write_lines(struct beat *beat, unsigned long n)
{
	static char text[WRITE_MAX + LINE];

	for (int i = 0; text[0] == 0 && i < WRITE_MAX + LINE; i++)
		text[WRITE_MAX + LINE - 1 - i] = i % LINE == 0 ? '\n' : (char)('a' + i % 26);
	while (n > 0) {
		long k = call(__NR_write, 1, (long)(text + beat->bytes % LINE),
			      (long)(n < WRITE_MAX ? n : WRITE_MAX), 0);

		if (k <= 0) {
			beat->failed++;
			return 0;
		}
		beat->bytes += (unsigned long)k;
		n -= (unsigned long)k;
	}
	return 1;
}

static void burst(struct beat *beat, unsigned long total, unsigned long size)
{
	while (beat->bytes < total &&
	       write_lines(beat, size < total - beat->bytes ? size : total - beat->bytes))
		;
}

static void rate(struct beat *beat, unsigned long bytes, unsigned long seconds)
{
	for (unsigned long tick = 1; tick <= seconds * TICKS; tick++) {
		if (!write_lines(beat, bytes / TICKS))
			return;
		sleep_ns((long)(beat->begin_ns + tick * TICK_NS) - (long)now_ns());
	}
}

static void stamp(long every_ns)
{
	static char line[21];

	for (;;) {
		unsigned long n = now_ns();

		for (int i = 19; i >= 0; i--, n /= 10)
			line[i] = (char)('0' + n % 10);
		line[20] = '\n';
		call(__NR_write, 1, (long)line, sizeof(line), 0);
		sleep_ns(every_ns);
	}
}

static void load(struct beat *beat, long fd, long offset, const char *part)
{
	unsigned long begin_ns = 0;

	for (; begin_ns == 0; sleep_ns(TICK_NS))
		call(__NR_pread64, fd, (long)&begin_ns, sizeof(begin_ns),
		     offset + (long)__builtin_offsetof(struct beat, begin_ns));
	beat->begin_ns = now_ns();
	call(__NR_pwrite64, fd, (long)beat, sizeof(*beat), offset);
	if (part[0] == 'b')
		burst(beat, parameter(part, 1), parameter(part, 2));
	else
		rate(beat, parameter(part, 1), parameter(part, 2));
	beat->end_ns = now_ns();
	call(__NR_pwrite64, fd, (long)beat, sizeof(*beat), offset);
}

__attribute__((used, noreturn)) void probe_main(long *stack);

/* stack: argc, argv..., as the kernel leaves them. */
void probe_main(long *stack)
{
	const struct __kernel_timespec pause = {.tv_nsec = 10000000};
	struct beat beat;
	unsigned long start_ns = now_ns();
	char **argv = (char **)(stack + 1);
	long offset, fd;

	if (stack[0] < 4)
		call(__NR_exit_group, 2, 0, 0, 0);
	offset = (long)((number(argv[3]) + (argv[4] ? number(argv[4]) : 0)) * sizeof(beat));
	fd = call(__NR_openat, AT_FDCWD, (long)argv[2], O_RDWR, 0);
	if (call(__NR_pread64, fd, (long)&beat, sizeof(beat), offset) != sizeof(beat))
		call(__NR_exit_group, 3, 0, 0, 0);
	beat.start_ns = start_ns;
	beat.pid = (unsigned long)call(__NR_getpid, 0, 0, 0, 0);
	beat.starts++;
	beat.begin_ns = beat.end_ns = beat.bytes = 0;
	call(__NR_pwrite64, fd, (long)&beat, sizeof(beat), offset);
	if (argv[1][0] == 'e')
		call(__NR_exit_group, 1, 0, 0, 0);
	while (argv[1][0] == 'l') {
		write_line(&beat);
		call(__NR_pwrite64, fd, (long)&beat, sizeof(beat), offset);
		call(__NR_nanosleep, (long)&pause, 0, 0, 0);
	}
	if (argv[1][0] == 's')
		stamp((long)parameter(argv[1], 1) * 1000000L);
	if (argv[1][0] == 'r' || (argv[1][0] == 'b' && argv[1][1] == 'u'))
		load(&beat, fd, offset, argv[1]);
	for (;;)
		call(__NR_ppoll, 0, 0, 0, 0);
}
