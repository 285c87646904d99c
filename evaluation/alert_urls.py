"""Pages of alerts, their rules and channels."""

from django.urls import path

from evaluation.views import alert_channels as channels
from evaluation.views import alert_rules as rules
from evaluation.views import alerts

app_name = "alerts"
urlpatterns = [
    path("projects/<slug:slug>/alerts/", alerts.alert_list, name="list"),
    path("projects/<slug:slug>/alerts/badge/", alerts.badge, name="badge"),
    path("projects/<slug:slug>/alerts/rules/", rules.rule_list, name="rules"),
    path("projects/<slug:slug>/alerts/rules/new/", rules.rule_new, name="rule_new"),
    path("projects/<slug:slug>/alerts/channels/", channels.channel_list, name="channels"),
    path("alerts/<int:pk>/acknowledge/", alerts.acknowledge, name="acknowledge"),
    path("alerts/<int:pk>/resolve/", alerts.resolve, name="resolve"),
    path("alerts/rules/<int:pk>/", rules.rule, name="rule"),
    path("alerts/rules/<int:pk>/edit/", rules.rule_edit, name="rule_edit"),
    path("alerts/rules/<int:pk>/switch/", rules.rule_switch, name="rule_switch"),
    path("alerts/rules/<int:pk>/delete/", rules.rule_delete, name="rule_delete"),
    path("alerts/rules/<int:pk>/test/", rules.rule_test, name="rule_test"),
    path("alerts/channels/<int:pk>/", channels.channel, name="channel"),
    path("alerts/channels/<int:pk>/secret/", channels.channel_secret, name="channel_secret"),
    path("alerts/channels/<int:pk>/test/", channels.channel_test, name="channel_test"),
    path("alerts/channels/<int:pk>/delete/", channels.channel_delete, name="channel_delete"),
    path("training/<int:pk>/alerts/", alerts.job_banner, name="job_banner"),
]
