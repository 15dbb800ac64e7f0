/*
 * api_logs: GET /v1/logs.
 *
 * SPDX-License-Identifier: MIT
 */
#include "daemon/controller/api.h"

void api_logs_get(struct api_call *call)
{
	api_reply_error(call->r, 503, "starting", "logs");
}
