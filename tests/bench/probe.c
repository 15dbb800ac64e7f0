/*
 * probe: the service that every peer supervises. No libc, static, a few KiB: its first instructions
 * read CLOCK_MONOTONIC, so the recorded time is as close to "first instruction of the new process"
 * as user space gets.
 *
 *   probe beat TABLE ID [INDEX]   records its start, then waits for ever
 *   probe exit TABLE ID [INDEX]   records its start, then exits with status 1
 *   probe line TABLE ID [INDEX]   records its start, then writes a numbered line of sixteen bytes
 *                                 every ten milliseconds for ever, also when that fails
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
	unsigned long lines, failed; /* written whole, and not */
	unsigned long unused[3];
};

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
	call(__NR_pwrite64, fd, (long)&beat, sizeof(beat), offset);
	if (argv[1][0] == 'e')
		call(__NR_exit_group, 1, 0, 0, 0);
	while (argv[1][0] == 'l') {
		write_line(&beat);
		call(__NR_pwrite64, fd, (long)&beat, sizeof(beat), offset);
		call(__NR_nanosleep, (long)&pause, 0, 0, 0);
	}
	for (;;)
		call(__NR_ppoll, 0, 0, 0, 0);
}
