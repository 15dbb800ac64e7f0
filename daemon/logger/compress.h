/*
 * compress: closed segments become X.log.zst (lib/logzst.h), one at a time, by a thread that gets
 * processor and disk only when nobody else wants them.
 *
 * The thread knows one job: a segment in a directory that was opened for it. It writes a dot-file,
 * has it on disk, gives it its name, and says so. All else is done by the owner of the store, in
 * compress_turn: which segment is next (the oldest that nothing is written to, of the replicas that
 * were added), and in the end whether X.log goes or, should it have been continued or deleted
 * meanwhile, X.log.zst. So a death at any moment leaves X.log whole, or X.log.zst, or both; both are
 * looked at again with the next job in that directory, as are dot-files left behind.
 *
 * Nothing runs while there is nothing to compress; the thread is begun with the first job. A replica
 * of which a segment could not be compressed is left alone until it is added again.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_COMPRESS_H
#define AICTL_LOGGER_COMPRESS_H

#include <stdbool.h>
#include <stdint.h>

struct compress;
struct store;

/* st is borrowed. NULL = it cannot be done. */
struct compress *compress_new(struct store *st);
/* Gives up what is under way. A thread whose disk hangs is left as it is, with what it uses. */
struct compress *compress_free(struct compress *c); /* returns NULL */
/* There may be something to compress. More than 1024 replicas at a time are passed over. */
void compress_add(struct compress *c, const char *service, uint32_t index);
/* Readable when a job has ended: then call compress_turn. */
int compress_fd(const struct compress *c);
/* Nothing is under way: compress_free does not wait. */
bool compress_is_idle(const struct compress *c);
/* compress_turn would do something. */
bool compress_is_due(const struct compress *c);
/* Ends the job that is done and begins the next. Makes system calls on files. */
void compress_turn(struct compress *c);
/* Of any thread. True: nothing is begun any more, and what is under way is given up soon. */
void compress_pause(struct compress *c, bool paused);

#endif
