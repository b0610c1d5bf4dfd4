//! Classes, children, and oneself, as the school's interface tells of them.

use super::{
    answers::{Child, ChildTeacher, ClassDetail, ClassMember, ClassesPage, Me, OrgName, Permissions, PersonName},
    contacts::{class_name, class_of_id, object_id, role_name},
    viewer::Viewer,
};
use crate::school::{
    SchoolError,
    people::{Adult, ClassNo, Member, OrgNo, PersonNo},
    roster::{EnrollmentRole, Relation, SchoolRole},
};

impl Viewer<'_> {
    /// The classes the viewer belongs to: homerooms first, then by title.
    pub(super) fn own_classes(&self) -> Vec<Member> {
        let Some(person) = self.person else { return Vec::new() };
        let mut classes: Vec<Member> = self.people.enrolled(person).collect();
        classes.sort_by_cached_key(|member| {
            let info = self.people.class(member.class);
            (info.map(|class| (!class.homeroom, class.title.clone())), member.class)
        });
        // One who is there in two roles is told the wider one: teachers come after students.
        classes.dedup_by(|later, kept| {
            let same = later.class == kept.class;
            if same && later.role != EnrollmentRole::Student {
                *kept = *later;
            }
            same
        });
        classes
    }

    /// A page of the viewer's classes, without their people and rooms.
    ///
    /// # Errors
    /// [`SchoolError::Invalid`] for a token that is none of this list.
    pub(super) fn classes(&self, from: Option<&str>, limit: usize) -> Result<ClassesPage, SchoolError> {
        let all: Vec<ClassDetail> =
            self.own_classes().into_iter().filter_map(|member| self.class_detail(member.class, Some(member))).collect();
        let begin = match from {
            None => 0,
            Some(id) => {
                let last = all.iter().position(|class| class.class.id == id);
                last.ok_or_else(|| SchoolError::Invalid("from is not a next_batch of this list".into()))? + 1
            }
        };
        let more = all.len() > begin + limit;
        let classes: Vec<ClassDetail> = all.into_iter().skip(begin).take(limit).collect();
        let next_batch = classes.last().filter(|_| more).map(|class| class.class.id.clone());
        Ok(ClassesPage { classes, next_batch })
    }

    fn class_detail(&self, class: ClassNo, own: Option<Member>) -> Option<ClassDetail> {
        let org = self.people.class(class)?.org.and_then(|org| self.people.org(org));
        Some(ClassDetail {
            class: class_name(&self.people, class, own)?,
            org: org.map(|org| org.name.to_string()),
            room_id: None,
            members: None,
        })
    }

    /// A class of the viewer with those of its people that they may see; for the leadership and the safeguarding lead of
    /// its school, any class.
    ///
    /// # Errors
    /// [`SchoolError::NotFound`], whether there is no such class or it is none of the viewer's.
    pub(super) fn class(&self, id: &str) -> Result<(ClassNo, ClassDetail), SchoolError> {
        let hidden = || SchoolError::NotFound("class");
        let class = class_of_id(&self.people, id).ok_or_else(hidden)?;
        let own = self.own_classes().into_iter().find(|member| member.class == class);
        if own.is_none() && !self.leads(class) {
            return Err(hidden());
        }
        let mut detail = self.class_detail(class, own).ok_or_else(hidden)?;
        let shown = |member: &Member| Some(member.person) == self.person || self.sees(member.person);
        let member = |member: Member| {
            let person = self.name(member.person)?;
            Some(ClassMember { person, role: role_name(member.role), primary: member.primary })
        };
        let mut members: Vec<Member> = self.people.members(class).filter(shown).collect();
        members.sort_by_key(|member| {
            (member.role == EnrollmentRole::Student, !member.primary, self.people.names().place(member.person))
        });
        detail.members = Some(members.into_iter().filter_map(member).collect());
        Ok((class, detail))
    }

    /// Whether the viewer leads the school of a class, or answers for its safety.
    fn leads(&self, class: ClassNo) -> bool {
        let Some(person) = self.person else { return false };
        let roles = self.people.roles(person);
        let org = self.people.class(class).and_then(|class| class.org);
        roles.has(SchoolRole::SafeguardingLead)
            || roles.has(SchoolRole::Leadership) && org.is_some_and(|org| self.people.orgs_of(person).contains(&org))
    }

    /// The viewer's children about whom the school deals with them, without rooms.
    pub(super) fn children(&self) -> Vec<(PersonNo, Child)> {
        let Some(person) = self.person else { return Vec::new() };
        let links = self.people.children_of(person).iter().filter(|link| link.is_contact() && self.sees(link.person));
        let mut children: Vec<Adult> = links.copied().collect();
        children.sort_by_key(|link| self.people.names().place(link.person));
        children.into_iter().filter_map(|link| Some((link.person, self.child(link)?))).collect()
    }

    fn child(&self, link: Adult) -> Option<Child> {
        let people = &*self.people;
        let learning = || people.enrolled(link.person).filter(|member| member.role == EnrollmentRole::Student);
        let mut teaching: Vec<(u32, PersonNo, ClassNo)> = learning()
            .flat_map(|own| people.members(own.class))
            .filter(|member| member.role != EnrollmentRole::Student)
            .map(|member| (people.names().place(member.person), member.person, member.class))
            .collect();
        teaching.sort_unstable();
        teaching.dedup();
        let teacher = |lessons: &[(u32, PersonNo, ClassNo)]| {
            let (_, person, _) = lessons.first().filter(|(_, person, _)| self.sees(*person))?;
            let classes = lessons.iter().filter_map(|(_, _, class)| people.class(*class));
            Some(ChildTeacher {
                person: self.name(*person)?,
                classes: classes.map(|class| class.title.to_string()).collect(),
            })
        };
        let mut tutors: Vec<PersonNo> = people.tutors(link.person).filter(|tutor| self.sees(*tutor)).collect();
        tutors.sort_by_key(|tutor| people.names().place(*tutor));
        tutors.dedup();
        Some(Child {
            person: self.name(link.person)?,
            relation: match link.relation() {
                Relation::Parent => "parent",
                Relation::Guardian => "guardian",
                Relation::Relative => "relative",
                Relation::Other => "other",
            },
            grade: people.standing(link.person).grade,
            classes: learning().filter_map(|member| class_name(people, member.class, None)).collect(),
            tutors: tutors.into_iter().filter_map(|tutor| self.name(tutor)).collect::<Vec<PersonName>>(),
            teachers: teaching.chunk_by(|one, other| one.1 == other.1).filter_map(teacher).collect(),
            family_room_id: None,
        })
    }

    /// The viewer. `admin` is the account's right to administer the server.
    pub(super) fn me(&self, admin: bool) -> Me {
        let people = &*self.people;
        let roles = self.person.map(|person| people.roles(person)).unwrap_or_default();
        let orgs = self.person.map_or(&[][..], |person| people.orgs_of(person));
        let org = |org: &OrgNo| {
            let info = people.org(*org)?;
            Some(OrgName { id: object_id(&info.source, &info.id), name: info.name.to_string() })
        };
        let own = self.own_classes().into_iter();
        Me {
            user_id: self.user_id.to_owned(),
            name: self.person.map(|person| people.display_name(person)),
            roles: roles.iter().collect(),
            school: people.is_loaded(),
            orgs: orgs.iter().filter_map(org).collect(),
            classes: own.filter_map(|member| class_name(people, member.class, Some(member))).collect(),
            permissions: Permissions {
                can_import: admin,
                can_manage_people: admin,
                can_change_policy: admin,
                can_manage_rooms: admin,
                can_make_slips: admin,
                can_read_audit: admin || roles.has(SchoolRole::SafeguardingLead),
            },
            quiet_hours: None,
        }
    }
}
