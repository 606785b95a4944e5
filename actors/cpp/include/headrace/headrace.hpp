// The whole client: include this, or only the parts that you need.
//
// Its folders are the rooms of `actors/` and `protocol/` in Python. Each includes only those above:
//
//     wire/        messages, payloads and delivery, as data and pure state machines
//     connection/  the conversation with a broker: session, client, thread, sockets
//     recording/   steps become trajectory batches
//     inference/   actions from a policy server
#pragma once

#include "headrace/connection/assignments.hpp"
#include "headrace/connection/client.hpp"
#include "headrace/connection/config.hpp"
#include "headrace/connection/invitation_file.hpp"
#include "headrace/connection/session.hpp"
#include "headrace/inference/remote_policy.hpp"
#include "headrace/recording/recorder.hpp"
#include "headrace/recording/recording_agent.hpp"
#include "headrace/recording/step_result.hpp"
#include "headrace/wire/arrays.hpp"
#include "headrace/wire/broker_choice.hpp"
#include "headrace/wire/endpoints.hpp"
#include "headrace/wire/errors.hpp"
#include "headrace/wire/invitation.hpp"
#include "headrace/wire/manifest.hpp"
#include "headrace/wire/messages/actor.hpp"
#include "headrace/wire/messages/inference.hpp"
#include "headrace/wire/trajectory.hpp"
