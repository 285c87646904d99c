"""Projects: the list, a new one, the overview, invitations."""

from accounts.models import Invitation, Membership, Project, Role, User
from accounts.projects import create_project, invite, personal_project
from tests.factories import make_dataset, make_project, make_run, make_user


def test_everybody_has_a_personal_project(client_of, user: User) -> None:
    client_of(user).get("/projects/")
    assert personal_project(user) in Project.objects.visible_to(user)


def test_the_maker_of_a_project_is_its_admin(client_of, user: User) -> None:
    client_of(user).post("/projects/new/", {"name": "Rust on bridges"})
    assert Membership.objects.get(project__slug="rust-on-bridges", user=user).role == Role.ADMIN


def test_a_project_needs_a_name(client_of, user: User) -> None:
    assert client_of(user).post("/projects/new/", {"name": " "}).status_code == 422


def test_a_project_called_new_can_be_reached(client_of, user: User) -> None:
    project = create_project(user, "New")
    assert project.name in client_of(user).get(project.get_absolute_url()).content.decode()
    assert project.slug != "new"


def test_a_stranger_finds_no_project(client_of, user: User) -> None:
    assert client_of(user).get(make_project().get_absolute_url()).status_code == 404


def test_the_overview_is_remembered(client_of, user: User) -> None:
    client = client_of(user)
    project = make_project(user)
    client.get(project.get_absolute_url())
    assert client.get("/").url == project.get_absolute_url()


def test_a_lost_project_is_not_remembered(client_of, user: User) -> None:
    client = client_of(user)
    project = make_project(make_user(), viewer=user)
    client.get(project.get_absolute_url())
    Membership.objects.filter(user=user, project=project).delete()
    assert client.get("/").url == "/projects/alice/"


def test_an_empty_overview_shows_the_doors(client_of, user: User) -> None:
    page = client_of(user).get(f"/projects/{make_project(user).slug}/overview/").content.decode()
    assert "import_coco" in page and "<html" not in page


def test_a_viewer_of_an_empty_project_gets_no_doors(client_of, user: User) -> None:
    page = client_of(user).get(f"/projects/{make_project(viewer=user).slug}/overview/").content.decode()
    assert "import_coco" not in page


def test_the_overview_counts(client_of, user: User) -> None:
    project = make_project(user)
    dataset = make_dataset(project, sample_count=1200, annotation_count=34)
    make_run(dataset, "epoch-12", prediction_count=5)
    page = client_of(user).get(f"/projects/{project.slug}/overview/").content.decode()
    assert "1,200" in page and "epoch-12" in page


def test_a_run_of_the_overview_is_one_click_from_being_compared(client_of, user: User) -> None:
    project = make_project(user)
    dataset = make_dataset(project)
    before, other, after = make_run(dataset, "before"), make_run(make_dataset(project)), make_run(dataset, "after")
    page = client_of(user).get(f"/projects/{project.slug}/overview/").content.decode()
    assert f"?baseline={before.pk}&amp;candidate={after.pk}" in page and "Against before" in page
    assert f"candidate={other.pk}" not in page


def test_the_overview_hides_other_projects(client_of, user: User) -> None:
    make_dataset(make_project(), name="secret-set")
    project = make_project(user)
    make_dataset(project)
    assert "secret-set" not in client_of(user).get(f"/projects/{project.slug}/overview/").content.decode()


def invited(user: User, role: Role = Role.EDITOR) -> Invitation:
    project = make_project()
    return invite(project, user, role, project.members.get())


def test_accepting_an_invitation(client_of, user: User) -> None:
    invitation = invited(user)
    client_of(user).post(f"/invitations/{invitation.pk}/accept/")
    assert Membership.objects.get(user=user, project=invitation.project).role == Role.EDITOR


def test_declining_an_invitation(client_of, user: User) -> None:
    invitation = invited(user)
    client_of(user).post(f"/invitations/{invitation.pk}/decline/")
    assert not Invitation.objects.exists() and not invitation.project.memberships.filter(user=user).exists()


def test_nobody_accepts_for_others(client_of, user: User) -> None:
    invitation = invited(make_user())
    assert client_of(user).post(f"/invitations/{invitation.pk}/accept/").status_code == 404


def test_an_invitation_alone_opens_nothing(client_of, user: User) -> None:
    assert client_of(user).get(invited(user).project.get_absolute_url()).status_code == 404


def test_the_list_asks_no_more_for_more(client_of, user: User, django_assert_max_num_queries) -> None:
    for number in range(20):
        make_project(user, name=f"Project {number}")
    client = client_of(user)
    client.get("/projects/")  # makes the personal project
    with django_assert_max_num_queries(8):
        client.get("/projects/")
