{{- define "recado.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "recado.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "recado.selector" -}}
app.kubernetes.io/name: {{ include "recado.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "recado.labels" -}}
{{ include "recado.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Ports that others may reach, as "name port" lines. */}}
{{- define "recado.ports" -}}
{{- if .Values.service.plain }}
- { name: mqtt, port: 1883 }
{{- end }}
{{- if .Values.tls.existingSecret }}
- { name: mqtts, port: 8883 }
{{- end }}
{{- if .Values.websocket.enabled }}
- { name: websocket, port: 8080 }
{{- end }}
{{- end -}}

{{/* Text of recado.conf. */}}
{{- define "recado.configuration" -}}
{{- if and (not .Values.auth.existingSecret) (not .Values.auth.allowAnonymous) -}}
{{- fail "\nWho may log in? Set auth.existingSecret to a Secret with the key \"passwords\":\n\n  recado passwd -c passwords ada\n  kubectl create secret generic mqtt-users --from-file=passwords\n  helm install ... --set auth.existingSecret=mqtt-users\n\nor auth.allowAnonymous=true to let everybody in." -}}
{{- end -}}
{{- if and .Values.tls.clientCaKey (not .Values.tls.existingSecret) -}}
{{- fail "tls.clientCaKey needs tls.existingSecret: it is a key of that Secret" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.enabled) -}}
{{- fail "metrics.serviceMonitor.enabled needs metrics.enabled=true, which opens the port that it scrapes" -}}
{{- end -}}
persistence {{ .Values.persistence.enabled }}
persistence_location /mosquitto/data/
log_dest stdout
{{- if .Values.auth.existingSecret }}
password_file /mosquitto/secrets/users/passwords
{{- end }}
allow_anonymous {{ .Values.auth.allowAnonymous }}
listener 1883{{ if not .Values.service.plain }} 127.0.0.1{{ end }}
{{- with .Values.tls }}
{{- if .existingSecret }}
listener 8883
certfile /mosquitto/secrets/tls/tls.crt
keyfile /mosquitto/secrets/tls/tls.key
{{- if .clientCaKey }}
cafile /mosquitto/secrets/tls/{{ .clientCaKey }}
require_certificate true
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.websocket.enabled }}
listener 8080
protocol websockets
{{- end }}
{{- if .Values.metrics.enabled }}
listener 9883
protocol http_api
{{- end }}
{{- with .Values.config }}
{{ . }}
{{- end }}
{{- end -}}
