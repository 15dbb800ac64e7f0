/*
 * mem: every allocation of lib and daemon, so that tests can fail the Nth call, and the cleanup
 * attributes for locals that own something.
 *
 * All return NULL when out of memory (never exit). Sizes in bytes; mem_alloc zeroes.
 * mem_array and mem_grow check the multiplication.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_MEM_H
#define AICTL_LIB_MEM_H

#include <stdarg.h>
#include <stddef.h>

void *mem_alloc(size_t size);		    /* zeroed */
void *mem_array(size_t count, size_t size); /* zeroed; NULL on overflow */
void *mem_realloc(void *p, size_t count,
		  size_t size); /* p stays valid on failure; new part not zeroed */
void mem_free(void *p);		/* NULL is a no-op */
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n);
void *mem_dup(const void *p, size_t size);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *mem_vprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
char **mem_strv_dup(const char *const *v); /* NULL-terminated; deep copy */
void mem_strv_free(char **v);

/*
 * Makes room for at least `need` elements of `size` bytes in *array with capacity *cap (elements);
 * grows by doubling. Returns 0, or -1 with nothing changed. *array is a pointer to the array.
 */
int mem_grow(void *array, size_t *cap, size_t need, size_t size);

/* Tests only: the Nth allocation from now on fails (1 = the next); 0 switches it off. */
void mem_fail_after(unsigned long nth);

void mem_freep(void *pp);
void mem_closep(int *fd);
void mem_strv_freep(char ***v);
#define _cleanup_free_ __attribute__((cleanup(mem_freep)))
#define _cleanup_close_ __attribute__((cleanup(mem_closep)))
#define _cleanup_strv_ __attribute__((cleanup(mem_strv_freep)))
#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) take_ = (p);                                                         \
		(p) = NULL;                                                                        \
		take_;                                                                             \
	})
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int take_ = (fd);                                                                  \
		(fd) = -1;                                                                         \
		take_;                                                                             \
	})
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
