/*
 * schema_check: what is wrong with a text, as the rows of the manifest's keys ask: NULL = nothing,
 * else words that go behind the key and the text.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_SCHEMA_CHECK_H
#define AICTL_LIB_SCHEMA_CHECK_H

const char *schema_check_label(const char *text);
const char *schema_check_given(const char *text);
const char *schema_check_user(const char *text);
const char *schema_check_group(const char *text);
const char *schema_check_variable(const char *text);
const char *schema_check_port(const char *text);
const char *schema_check_service_name(const char *text);
const char *schema_check_secret_name(const char *text);
const char *schema_check_label_key(const char *text);
const char *schema_check_body(const char *text);
const char *schema_check_url_path(const char *text);
const char *schema_check_field(const char *text);
const char *schema_check_affinity(const char *text);
const char *schema_check_grpc_service(const char *text);
const char *schema_check_pattern(const char *text);
const char *schema_check_metric(const char *text);
const char *schema_check_statuses(const char *text);
const char *schema_check_log_target(const char *text);
const char *schema_check_address(const char *text);
const char *schema_check_cpuset(const char *text);
const char *schema_check_step(const char *text);
const char *schema_check_zone(const char *text);
const char *schema_check_image(const char *text);
const char *schema_check_target(const char *text);
const char *schema_check_network(const char *text);
const char *schema_check_hostname(const char *text);
const char *schema_check_permissions(const char *text);
const char *schema_check_capability(const char *text);
const char *schema_check_security(const char *text);
const char *schema_check_cdi(const char *text);
const char *schema_check_volume_name(const char *text);

#endif
