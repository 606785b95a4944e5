// The whole client: include this, or only the parts that you need.
#pragma once

#include "headrace/array.hpp"
#include "headrace/assigned.hpp"
#include "headrace/broker_address.hpp"
#include "headrace/client.hpp"
#include "headrace/errors.hpp"
#include "headrace/inference_messages.hpp"
#include "headrace/invitation.hpp"
#include "headrace/manifest.hpp"
#include "headrace/messages.hpp"
#include "headrace/recorder.hpp"
#include "headrace/recording_agent.hpp"
#include "headrace/remote_policy.hpp"
#include "headrace/session.hpp"
#include "headrace/trajectory.hpp"
