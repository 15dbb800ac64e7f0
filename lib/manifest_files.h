/*
 * manifest_files: what services name besides the manifests, env_file and secrets, read by the
 * function of manifest_input. The variables go into environment, below those of the manifest; the
 * contents of secrets into secret_spec.data, with their digest.
 *
 * A file is read once, however many services name it. Errors stand where the file is named, those
 * in an env_file at its line; contents are never part of a message.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_MANIFEST_FILES_H
#define AICTL_LIB_MANIFEST_FILES_H

struct manifest;
struct manifest_errors;
struct manifest_input;
struct manifest_set;
struct ynode;

#define MANIFEST_FILES_MAX 256		     /* manifests and what they name */
#define MANIFEST_FILES_BYTES_MAX (16 << 20)  /* of these, with the contents as base64: a request */
#define MANIFEST_SECRETS_BYTES_MAX (4 << 20) /* of one service: they travel in one packet */

/* services: what the set was decoded from. Fills m->files; what is wrong is added to errors. */
void manifest_files_read(const struct manifest_input *in, const struct ynode *services,
			 struct manifest_set *set, struct manifest *m,
			 struct manifest_errors *errors);

#endif
