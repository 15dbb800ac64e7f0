/*
 * err: one error object for everything that can fail.
 *
 * Contract of a fallible function: int f(in..., struct out **ret_x, struct err **reterr).
 * It returns 0, or a negative enum err_code with *reterr set and ret_x untouched. *reterr must be
 * NULL on entry. reterr itself may be NULL: the caller wants the code only.
 * Library code never logs; whoever stops propagating an error logs it once.
 * err objects are freed with err_free(); the out-of-memory error is static and may be freed too.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_ERR_H
#define AICTL_LIB_ERR_H

#include <stddef.h>

enum err_code {
	ERR_OK = 0,
	ERR_INVALID,	 /* bad input: manifest, argument, packet */
	ERR_NOTFOUND,	 /* no such service, file, change */
	ERR_CONFLICT,	 /* the state forbids it: exists already, other revision */
	ERR_BUSY,	 /* try again later */
	ERR_TIMEOUT,	 /* a deadline passed */
	ERR_PERM,	 /* not permitted */
	ERR_UNREACHABLE, /* the daemon or a peer cannot be reached */
	ERR_SYS,	 /* a system call failed; sys holds errno */
	ERR_NOMEM,	 /* out of memory */
	ERR_CODE_MAX_
};

struct err {
	enum err_code code;
	int sys;	       /* errno, or 0 */
	char *msg;	       /* for people, without position; never NULL */
	char *file;	       /* manifest path, or NULL */
	unsigned line, column; /* 1-based, 0 = unknown */
	char *hint;	       /* how to fix it ("did you mean ...?"), or NULL */
};

/* Both return -code (err_sys: -ERR_SYS, or -ERR_NOMEM for ENOMEM), so `return err_set(...)` is the
 * idiom. */
int err_set(struct err **reterr, enum err_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int err_sys(struct err **reterr, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int err_nomem(struct err **reterr);
/* Attaches a place; file is copied. No-op when reterr or *reterr is NULL or static. Returns -code.
 */
int err_place(struct err **reterr, const char *file, unsigned line, unsigned column);
/* Attaches a hint. Returns -code. */
int err_hint(struct err **reterr, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prefixes the message with "CONTEXT: ", keeps code and place. Returns -code. */
int err_wrap(struct err **reterr, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The message of e, or "unknown error" for NULL. Borrowed. */
const char *err_msg(const struct err *e);
/* "invalid", "not_found", ...: the token used in the API's error objects. */
const char *err_code_name(enum err_code code);
struct err *err_free(struct err *e); /* returns NULL */
void err_freep(struct err **e);
#define _cleanup_err_ __attribute__((cleanup(err_freep)))

#endif
