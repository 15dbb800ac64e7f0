/*
 * writer: one per output format (-o). Each prints the reply of GET /v1/services; the reply's text
 * goes along with its tree, so that json can print what the daemon said, unchanged.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_WRITER_H
#define AICTL_CLI_WRITER_H

struct cli;
struct reply;

struct writer {
	const char *name;
	void (*services)(const struct cli *cli, const struct reply *reply);
};

extern const struct writer writer_table_writer, writer_table_wide, writer_json_writer,
	writer_name_writer;

#define WRITER_CHOICE "table|wide|json|name"
/* Never NULL for a name of WRITER_CHOICE. */
const struct writer *writer_find(const char *name);
/* A reply as indented JSON, to stdout. */
void writer_json_print(const char *text, unsigned long len);

#endif
