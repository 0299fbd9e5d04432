-- The health of a Landfall Deployment for Argo CD: what its status says, and nothing that the status does not say.
-- `obj` is the object; docs/install.md has how Argo CD is given this script.

local function condition(status, name)
  for _, each in ipairs(status.conditions or {}) do
    if each.type == name then
      return each
    end
  end
  return nil
end

local function is(each, value)
  return each ~= nil and each.status == value
end

local function words(each)
  if each == nil then
    return ""
  end
  if each.message ~= nil and each.message ~= "" then
    return each.message
  end
  return each.reason or ""
end

local status = obj.status or {}
local ready = condition(status, "Ready")
local stalled = condition(status, "Stalled")
local generation = obj.metadata.generation

if ready == nil or (generation ~= nil and status.observedGeneration ~= generation) then
  return { status = "Progressing", message = "the operator has not seen this version of the object yet" }
end
if is(stalled, "True") then
  return { status = "Degraded", message = words(stalled) }
end
if is(ready, "False") then
  return { status = "Degraded", message = words(ready) }
end
if is(ready, "True") then
  return { status = "Healthy", message = words(ready) }
end
if status.phase == "Paused" then
  return { status = "Suspended", message = status.waitingFor or words(ready) }
end
return { status = "Progressing", message = status.waitingFor or words(ready) }
